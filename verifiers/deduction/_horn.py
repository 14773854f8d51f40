"""Horn clauses and what follows from them, exactly."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Int

from probinf._arguments import mask, whole

_ATOM = re.compile(r"[A-Za-z_]\w*")


class Entailment(enum.IntEnum):
    """What premises say about a claim."""

    CONTRADICTED = 0
    DERIVABLE = 1
    UNKNOWN = 2


class Claim(NamedTuple):
    """That an atom is true (1) or false (0)."""

    atom: int | Int[Array, ""]
    value: int | Int[Array, ""]


class HornTheory(eqx.Module):
    """Clauses of at most one positive literal: all `premises` together give the `conclusion`; -1 is the absurd.

    A fact has no premises. `premises[c, a]` says whether atom a is a premise of clause c.

    Law: `entailed` and `status` are classical entailment, exactly: an atom follows from Horn clauses if and only if
    forward chaining reaches it, and its negation if and only if chaining from the atom reaches the absurd.

    Raises: ValueError for shapes that do not fit, a conclusion that is no atom, and clauses that contradict themselves.

    Source: Dowling and Gallier (1984), Linear-time algorithms for testing the satisfiability of propositional Horn
    formulae.
    """

    premises: Bool[Array, "clauses atoms"] = eqx.field(converter=partial(mask, "premises", axes="clauses atoms"))
    conclusions: Int[Array, " clauses"] = eqx.field(converter=partial(whole, "conclusions", axes="clauses"))
    names: tuple[str, ...] = eqx.field(static=True, default=())

    def __check_init__(self):
        """Rejects what is no theory, or one from which everything follows."""
        clauses, atoms = self.premises.shape
        if self.conclusions.shape != (clauses,):
            raise ValueError(f"{clauses} clauses need as many conclusions, got shape {self.conclusions.shape}")
        if isinstance(self.premises, Tracer) or isinstance(self.conclusions, Tracer):
            return
        given = np.asarray(self.conclusions)
        if np.any(given < -1) or np.any(given >= atoms):
            raise ValueError(f"a conclusion is one of {atoms} atoms, or -1 for the absurd, got {given}")
        if bool(self.chain(jnp.zeros(atoms, bool))[1]):
            raise ValueError("the premises contradict each other, so that everything follows: remove one of them")

    @property
    def size(self) -> int:
        """The number of atoms."""
        return self.premises.shape[1]

    def chain(self, assumed: Bool[Array, " atoms"]) -> tuple[Bool[Array, " atoms"], Bool[Array, ""]]:
        """All atoms that follow from the clauses and the assumed atoms, and whether the absurd does."""
        atoms = jnp.arange(self.size)[None, :]

        def step(known: Array, _: None) -> tuple[Array, None]:
            reached = self._fires(known)[:, None] & (self.conclusions[:, None] == atoms)
            return known | jnp.any(reached, axis=0), None

        # Each round before the last adds an atom.
        known, _ = jax.lax.scan(step, assumed, None, length=self.size)
        return known, jnp.any(self._fires(known) & (self.conclusions == -1))

    def entailed(self) -> Int[Array, " atoms"]:
        """1 for each atom that follows, 0 for each whose negation does, -1 for the others."""
        known, _ = self.chain(jnp.zeros(self.size, bool))
        refuted = jax.vmap(lambda assumed: self.chain(assumed)[1])(jnp.eye(self.size, dtype=bool))
        return jnp.where(known, 1, jnp.where(refuted, 0, -1)).astype(jnp.int32)

    def status(self, claim: Claim) -> Int[Array, ""]:
        """The `Entailment` of a claim, as a number; a traced claim about no atom or value of the theory is unknown.

        Raises: ValueError for such a claim where it is concrete.
        """
        atom, value = jnp.asarray(claim.atom), jnp.asarray(claim.value)
        self.check_atom(atom)
        if not isinstance(value, Tracer) and int(value) not in (0, 1):
            raise ValueError(f"a claim says that an atom is true (1) or false (0), got {value}")
        meant = (atom >= 0) & (atom < self.size) & ((value == 0) | (value == 1))
        truth = jnp.where(meant, self.entailed()[atom], -1)
        known = jnp.where(truth == value, int(Entailment.DERIVABLE), int(Entailment.CONTRADICTED))
        return jnp.where(truth < 0, int(Entailment.UNKNOWN), known).astype(jnp.int32)

    def claim(self, text: str) -> Claim:
        """The claim that a text such as `wet` or `not wet` makes.

        Raises: ValueError for a name that the theory does not know.
        """
        negated, name = re.fullmatch(r"\s*(not\s+)?(.*?)\s*", text).groups()  # pyright: ignore[reportOptionalMemberAccess]
        if name not in self.names:
            raise ValueError(f"{name!r} is no atom of the theory: the atoms are {', '.join(self.names) or 'unnamed'}")
        return Claim(self.names.index(name), 0 if negated else 1)

    def check_atom(self, atom: int | Int[Array, ""]) -> None:
        """Rejects a concrete number that is no atom: an index beyond the last would silently be read as the last."""
        if not isinstance(atom, Tracer) and not 0 <= int(atom) < self.size:
            raise ValueError(f"the theory has atoms 0 to {self.size - 1}, got {atom}")

    def _fires(self, known: Bool[Array, " atoms"]) -> Bool[Array, " clauses"]:
        return jnp.all(~self.premises | known[None, :], axis=1)


def horn_theory(clauses: Sequence[str]) -> HornTheory:
    """A theory from texts: a fact `rain`, a rule `rain & cold -> ice`, a denial `not ice` or `sun & rain -> false`.

    Raises: ValueError for a text that is none of these, or no text at all.
    """
    if isinstance(clauses, str) or not clauses:
        raise ValueError(f'give the clauses as a list, for example ["rain", "rain -> wet"], not {clauses!r}')
    parsed = [_parsed(text) for text in clauses]
    names = tuple(sorted({name for premises, conclusion in parsed for name in (*premises, conclusion)} - {"false"}))
    premises: Any = np.array([[name in row for name in names] for row, _ in parsed], bool).reshape(len(parsed), -1)
    conclusions = np.array([-1 if c == "false" else names.index(c) for _, c in parsed], np.int32)
    return HornTheory(premises, conclusions, names)


def _parsed(text: str) -> tuple[list[str], str]:
    before, arrow, after = text.partition("->")
    if arrow:
        premises, conclusion = [part.strip() for part in before.split("&")], after.strip()
    elif text.strip().startswith("not "):
        premises, conclusion = [text.strip()[4:].strip()], "false"
    else:
        premises, conclusion = [], text.strip()
    known = [*premises, conclusion]
    if not all(_ATOM.fullmatch(name) for name in known) or "false" in premises or "not" in known:
        raise ValueError(
            f"{text!r} is no Horn clause: write a fact 'a', a rule 'a & b -> c', or a denial 'not a' or "
            "'a & b -> false'"
        )
    return premises, conclusion
