"""Entailment against the table of all truth values, and honest answers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import spawn
from probinf.distributions import Categorical
from probinf.verifiers.deduction import (
    ABSTAIN,
    Claim,
    Entailment,
    Honest,
    HornTheory,
    deduction_task,
    honest_answer,
    honest_deduction,
    honesty_report,
    horn_theory,
)

ATOMS, CLAUSES = 5, 7
WORLDS = np.array(list(itertools.product((False, True), repeat=ATOMS)))


def _by_table(premises, conclusions):
    """1, 0 or -1 for each atom by all truth values; None where the clauses contradict themselves."""
    holds = np.ones(len(WORLDS), bool)
    for row, conclusion in zip(premises, conclusions, strict=True):
        body = WORLDS[:, row].all(axis=1)
        holds &= ~body | (WORLDS[:, conclusion] if conclusion >= 0 else False)
    kept = WORLDS[holds]
    return np.where(kept.all(axis=0), 1, np.where(~kept.any(axis=0), 0, -1)) if len(kept) else None


def test_entailment_is_that_of_all_truth_values():
    rng = np.random.default_rng(0)
    premises = rng.random((400, CLAUSES, ATOMS)) < 0.3
    conclusions = rng.integers(-1, ATOMS, (400, CLAUSES)).astype(np.int32)
    entailed, absurd = jax.jit(
        jax.vmap(lambda p, c: (HornTheory(p, c).entailed(), HornTheory(p, c).chain(jnp.zeros(ATOMS, bool))[1]))
    )(jnp.asarray(premises), jnp.asarray(conclusions))
    kinds = set()
    for i in range(400):
        truth = _by_table(premises[i], conclusions[i])
        assert (truth is None) == bool(absurd[i])
        if truth is not None:
            assert np.array_equal(truth, np.asarray(entailed[i]))
            kinds |= set(truth.tolist())
    assert kinds == {-1, 0, 1} and 0 < np.sum(absurd) < 400


def test_texts_are_read_and_claims_have_a_status():
    theory = horn_theory(["rain", "rain & cold -> ice", "not ice", "sun -> warm"])
    told = {text: Entailment(int(theory.status(theory.claim(text)))).name for text in
            ("rain", "not rain", "not cold", "cold", "sun", "not warm")}  # fmt: skip
    assert told == {"rain": "DERIVABLE", "not rain": "CONTRADICTED", "not cold": "DERIVABLE", "cold": "CONTRADICTED",
                    "sun": "UNKNOWN", "not warm": "UNKNOWN"}  # fmt: skip
    with pytest.raises(ValueError, match="no atom of the theory"):
        theory.claim("snow")


@pytest.mark.parametrize("clauses", ["rain", [], ["a -> b -> c"], ["a &"], ["not"], ["a or b"], ["not a & b"], ["-> b"],
                                     ["a & -> b"], ["not a -> b"]])  # fmt: skip
def test_texts_that_are_no_horn_clauses_are_refused(clauses):
    with pytest.raises(ValueError, match="clause"):
        horn_theory(clauses)


def test_theories_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="contradict each other"):
        horn_theory(["a", "a -> b", "not b"])
    with pytest.raises(ValueError, match="as many conclusions"):
        HornTheory(jnp.zeros((2, 3), bool), jnp.zeros(3, jnp.int32))
    with pytest.raises(ValueError, match="one of 3 atoms"):
        HornTheory(jnp.zeros((1, 3), bool), jnp.array([3]))


def test_tasks_are_settled_exactly_where_they_say_so_and_share_a_program():
    traces = []

    @jax.jit
    def solve(key, answerable):
        traces.append(None)
        task = deduction_task(key, answerable, depth=3, distractors=2)
        return honest_answer(task.theory)[task.atom], task.truth, task.theory.premises, task.theory.conclusions

    kinds = set()
    for i in range(40):
        found, truth, premises, conclusions = solve(jax.random.key(i), jnp.bool_(i % 2 == 0))
        assert found == truth and (truth != ABSTAIN) == (i % 2 == 0)
        assert HornTheory(premises, conclusions).size == 11  # consistent
        kinds.add(int(truth))
    assert kinds == {0, 1, ABSTAIN} and len(traces) == 1
    with pytest.raises(ValueError, match="depth of one"):
        deduction_task(jax.random.key(0), True, depth=0, distractors=0)


def test_where_nothing_follows_every_lane_abstains():
    theory = horn_theory(["a", "b -> c"])
    about_c = Categorical(jnp.log(jnp.array([0.5, 0.5])))
    sampler = honest_deduction(about_c, theory, lambda value: Claim(2, value), budget=4)
    cloud, info = sampler(jax.random.key(0), spawn(8))
    assert cloud.log_z == -jnp.inf and not info.accepted.any() and (info.attempts == 4).all()


def test_silence_and_guesses_are_told_apart():
    honest = honest_answer(horn_theory(["a", "not b", "c -> d"]))
    assert honest.tolist() == [1, 0, ABSTAIN, ABSTAIN]
    silent = honesty_report(jnp.full(4, ABSTAIN), honest)
    assert (silent.answerable, silent.unanswerable, silent.answered) == (0, 1, 0)
    mixed = honesty_report(jnp.array([1, 1, 1, ABSTAIN]), honest)
    assert (mixed.answerable, mixed.unanswerable, mixed.answered) == (0.5, 0.5, 0.75)


def test_the_report_reads_the_answers_of_tasks():
    answerable = jnp.arange(20) % 4 > 0
    draw = jax.jit(jax.vmap(lambda key, a: deduction_task(key, a, depth=2, distractors=1).truth))
    truth = draw(jax.random.split(jax.random.key(0), 20), answerable)
    assert honesty_report(truth, truth) == (1, 1, 0.75)
    assert honesty_report(jnp.full(20, ABSTAIN), truth) == (0, 1, 0)
    # Never silent: right in some of the fifteen, in none of the five.
    guessing = honesty_report(jnp.ones(20, jnp.int32), truth)
    assert 0 < guessing.answerable < 1 and guessing[1:] == (0, 1)
    for answers, honest in ((truth, truth - 1), (truth + 1, truth)):
        with pytest.raises(ValueError, match="0, 1 or ABSTAIN"):
            honesty_report(answers, honest)


def test_the_sizes_of_clauses_say_nothing_about_the_answer():
    answerable = np.arange(64) % 2 == 0
    draw = jax.jit(jax.vmap(lambda key, a: deduction_task(key, a, depth=3, distractors=2)))
    tasks = draw(jax.random.split(jax.random.key(1), 64), jnp.asarray(answerable))
    sizes = np.asarray(tasks.theory.premises.sum(axis=2))
    kinds = [tuple(sorted(zip(n, c, strict=True))) for n, c in
             zip(sizes.tolist(), (np.asarray(tasks.theory.conclusions) < 0).tolist(), strict=True)]  # fmt: skip
    # Two facts, a denial, links and distractors of one premise with the dead end, two rules of two premises.
    assert set(kinds) == {tuple(2 * [(0, False)] + 5 * [(1, False)] + [(1, True)] + 2 * [(2, False)])}
    assert set(np.asarray(tasks.truth)[answerable].tolist()) == {0, 1}
    # The best rule that looks at sizes alone, fitted to these very tasks, says the same of all of them.
    by_kind = {kind: [a for k, a in zip(kinds, answerable, strict=True) if k == kind] for kind in set(kinds)}
    assert sum(max(np.sum(group), len(group) - np.sum(group)) for group in by_kind.values()) == len(kinds) / 2
    # Yet the premises decide each of them.
    honest = jax.jit(jax.vmap(lambda task: honest_answer(task.theory)[task.atom]))(tasks)
    assert np.array_equal(honest, tasks.truth)


def test_claims_about_no_atom_are_refused_or_unknown():
    theory = horn_theory(["a", "not b"])
    for atom in (2, -1):
        with pytest.raises(ValueError, match="atoms 0 to 1"):
            theory.status(Claim(atom, 1))
        with pytest.raises(ValueError, match="atoms 0 to 1"):
            Honest(theory, atom)
    with pytest.raises(ValueError, match="true \\(1\\) or false \\(0\\)"):
        theory.status(Claim(0, 2))
    # The first two would be read as denials of b, and the third as one of a, if they were clamped.
    claims = Claim(jnp.array([2, -1, 0, 1]), jnp.array([0, 0, 2, 0]))
    told = jax.jit(jax.vmap(theory.status))(claims)
    assert told.tolist() == [Entailment.UNKNOWN] * 3 + [Entailment.DERIVABLE]
