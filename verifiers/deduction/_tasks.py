"""Chains of implications beside distractors; one step needs a second premise, which is a fact or cannot be settled."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf.verifiers.deduction._honesty import ABSTAIN
from probinf.verifiers.deduction._horn import HornTheory


class DeductionTask(NamedTuple):
    """Premises, the atom that is asked about, and the honest answer: 1 (true), 0 (false) or `ABSTAIN`.

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
    about. One implication of the chain has a second premise: a fact in an answerable task, else the conclusion of a
    rule whose own premise is unknown. Beside the chain stand a second such pair the other way round, a fact or denial
    of the kind that the chain does not have, a rule from both that leads nowhere, and distractors: implications from
    atoms of the chain that lead nowhere. Atoms and clauses are in random order; shapes depend on `depth` and
    `distractors` alone.

    Law: the numbers of facts, denials, and rules of one and of two premises are the same in every task. Whether the
    atom asked about is a premise or a conclusion tells forwards from backwards, not whether an answer follows.

    Raises: ValueError for a depth below one, or a negative number of distractors.
    """
    if not is_count(depth) or not is_count(distractors, 0):
        raise ValueError(f"a task needs a depth of one or more and no negative number of distractors, got {depth} and "
                         f"{distractors}")  # fmt: skip
    keys = jax.random.split(key, 5)
    forwards = jax.random.bernoulli(keys[0])
    # After the chain, whose last atom is number `depth`.
    needed, unneeded, aside, unknown, nowhere, leads = range(depth + 1, depth + 7)
    atoms = leads + distractors
    known, open_one = jnp.where(jnp.asarray(answerable), jnp.array([needed, unneeded]), jnp.array([unneeded, needed]))
    link = jax.random.randint(keys[2], (), 0, depth)
    sources = jax.random.randint(keys[3], (distractors,), 0, depth + 1)
    # The premises of a clause are those of its two numbers that are atoms; a conclusion of -1 is a denial.
    links = jnp.arange(depth)
    rows = [jnp.stack([links, jnp.where(links == link, needed, -1), links + 1], axis=1)]
    rows += [jnp.stack([sources, jnp.full_like(sources, -1), leads + jnp.arange(distractors)], axis=1)]
    rows += [jnp.array([
        [-1, -1, known], [unknown, -1, open_one], [aside, unneeded, nowhere],
        [-1, -1, jnp.where(forwards, 0, aside)], [jnp.where(forwards, aside, depth), -1, -1],
    ])]  # fmt: skip
    clauses = jax.random.permutation(keys[4], jnp.concatenate(rows))
    name = jax.random.permutation(keys[1], atoms).astype(jnp.int32)
    named = jnp.where(clauses < 0, -1, name[clauses])
    premises = jnp.any(named[:, :2, None] == jnp.arange(atoms)[None, None, :], axis=1)
    truth = jnp.where(jnp.asarray(answerable), forwards.astype(jnp.int32), ABSTAIN)
    return DeductionTask(HornTheory(premises, named[:, 2]), name[jnp.where(forwards, depth, 0)], truth)
