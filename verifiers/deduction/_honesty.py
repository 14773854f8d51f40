"""Honest deduction: answer only what follows from the premises, and abstain otherwise.

The idea and the two kinds of task, settled and with a step taken out, are those of the work on honest deduction known
as Anchor; its training is not here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from probinf import Draw, Factor, Verified
from probinf._arguments import alike, whole
from probinf._measure import Distribution
from probinf.verifiers.deduction._horn import Claim, Entailment, HornTheory

# An answer to "is the atom true?": 0 (no), 1 (yes), or
ABSTAIN = 2


class Derivable(Factor):
    """One for a value whose claim follows from the premises, zero for one that is contradicted or unknown.

    Law: exact: what it accepts is true in every world in which the premises are.
    """

    theory: HornTheory
    claim: Callable[[Any], Claim]
    name: str = eqx.field(static=True, default="derivable")

    def log_density(self, x: Any) -> Float[Array, ""]:
        """0 where derivable, else -inf."""
        return jnp.where(self.theory.status(self.claim(x)) == int(Entailment.DERIVABLE), 0.0, -jnp.inf)


class Honest(Factor):
    """One for the one honest answer to a question about an atom: the value that follows, or `ABSTAIN` where none does.

    A right guess at what does not follow is not honest, nor is silence where something follows.

    Raises: ValueError for an atom that the theory does not have.
    """

    theory: HornTheory
    atom: Int[Array, ""] = eqx.field(converter=jnp.asarray)
    name: str = eqx.field(static=True, default="honest")

    def __check_init__(self):
        """Rejects a question about nothing."""
        self.theory.check_atom(self.atom)

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        """0 where honest, else -inf."""
        return jnp.where(x == honest_answer(self.theory)[self.atom], 0.0, -jnp.inf)


def honest_answer(theory: HornTheory) -> Int[Array, " atoms"]:
    """For each atom 0, 1 or `ABSTAIN`."""
    truth = theory.entailed()
    return jnp.where(truth < 0, ABSTAIN, truth)


def honest_deduction(
    propose: Distribution, theory: HornTheory, claim: Callable[[Any], Claim], *, budget: int = 1
) -> Verified:
    """Draw proposals until the claim of one follows from the premises, and abstain after `budget` of them.

    Law: () -> the proposals given that their claim is derivable, with mass 1 - (1 - a)^budget where a is the chance of
    a derivable one (CHANGES_TARGET); a lane that abstains has weight zero. No answer is ever wrong in a world in which
    the premises hold. Where nothing that may be proposed follows, all lanes abstain.

    Raises: ValueError for a budget below one.
    """
    return Verified(Draw(propose), Derivable(theory, claim), budget)


class HonestyReport(NamedTuple):
    """Accuracy where an answer follows and where none does, NaN without such questions, and the share answered.

    Silence everywhere has accuracies 0 and 1: neither number says anything without the other.
    """

    answerable: Float[Array, ""]
    unanswerable: Float[Array, ""]
    answered: Float[Array, ""]


def honesty_report(answers: Int[Array, " questions"], honest: Int[Array, " questions"]) -> HonestyReport:
    """Compares answers (0, 1 or `ABSTAIN`) with the honest ones.

    Raises: ValueError for any other number, where the numbers are concrete.
    """
    answers, honest = whole("answers", answers, "questions"), whole("honest", honest, "questions")
    alike(answers=answers, honest=honest)
    if not answers.size:
        raise ValueError("a report needs at least one question, got none")
    for name, given in (("answers", answers), ("honest", honest)):
        if not isinstance(given, Tracer) and not np.isin(np.asarray(given), (0, 1, ABSTAIN)).all():
            raise ValueError(f"{name} are 0, 1 or ABSTAIN, which is {ABSTAIN}, got {np.asarray(given)}")
    open_question = honest == ABSTAIN
    right = answers == honest
    share = lambda among: jnp.sum(right & among) / jnp.sum(among)  # noqa: E731
    return HonestyReport(share(~open_question), share(open_question), jnp.mean(answers != ABSTAIN))
