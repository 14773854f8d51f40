"""Chains of implications with distractors, answerable or with one step taken out."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from probinf.verifiers.deduction._honesty import ABSTAIN
from probinf.verifiers.deduction._horn import HornTheory


class DeductionTask(NamedTuple):
    """Premises, the atom that is asked about, and the honest answer: 1 (true), 0 (false) or `ABSTAIN` (nothing follows).

    The code is that of `honest_answer` and `honesty_report`.
    """

    theory: HornTheory
    atom: Int[Array, ""]
    truth: Int[Array, ""]


def deduction_task(
    key: PRNGKeyArray, answerable: bool | Bool[Array, ""], *, depth: int, distractors: int
) -> DeductionTask:
    """A chain of `depth` implications, asked forwards (modus ponens) or backwards (modus tollens), equally likely.

    Forwards the first atom is a fact and the last is asked about; backwards the last is denied and the first is asked
    about. Distractors are implications from atoms of the chain to atoms that lead nowhere. In a task that is not
    answerable one implication of the chain has a further premise, of which nothing is known. Atoms and clauses are in
    random order; shapes depend on `depth` and `distractors` alone.

    Raises: ValueError for a depth below one, or a negative number of distractors.
    """
    if depth < 1 or distractors < 0:
        raise ValueError(f"a task needs a depth of one or more and no negative number of distractors, got {depth} and "
                         f"{distractors}")  # fmt: skip
    atoms = depth + 1 + distractors + 1
    keys = jax.random.split(key, 5)
    forwards = jax.random.bernoulli(keys[0])
    name = jax.random.permutation(keys[1], atoms).astype(jnp.int32)
    links, leads = jnp.arange(depth), jnp.arange(distractors)
    broken = jnp.where(jnp.asarray(answerable), -1, jax.random.randint(keys[2], (), 0, depth))
    sources = jax.random.randint(keys[3], (distractors,), 0, depth + 1)
    # Clauses: the implications of the chain, the distractors, and the fact or denial; the last atom is unknown.
    of = lambda members: jnp.any(members[:, :, None] == jnp.arange(atoms)[None, None, :], axis=1)  # noqa: E731
    chain = of(jnp.stack([links, jnp.where(links == broken, atoms - 1, links)], axis=1))
    settled = jnp.where(forwards, -1, depth)[None, None]
    premises = jnp.concatenate([chain, of(sources[:, None]), of(settled)])
    end = jnp.where(forwards, 0, -1)
    conclusions = jnp.concatenate([links + 1, depth + 1 + leads, end[None]])
    order = jax.random.permutation(keys[4], premises.shape[0])
    renamed = jnp.zeros_like(premises).at[:, name].set(premises)[order]
    theory = HornTheory(renamed, jnp.where(conclusions < 0, -1, name[conclusions])[order].astype(jnp.int32))
    truth = jnp.where(jnp.asarray(answerable), forwards.astype(jnp.int32), ABSTAIN)
    return DeductionTask(theory, name[jnp.where(forwards, depth, 0)], truth)
