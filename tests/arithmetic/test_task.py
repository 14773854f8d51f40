"""Problems, solutions and their checks against an independent computation in plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.arithmetic import (
    OPERATIONS,
    SOLUTION_SLOTS,
    VOCABULARY,
    Checker,
    answer_of,
    draw_problem,
    draw_trace,
    fingerprint,
    is_correct,
    is_sound,
    prompt_of,
    render_problem,
    render_solution,
    right_answer,
)
from probinf.arithmetic._checker import problem_of

APPLY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "~": lambda a, b: b - a,
    "#": lambda a, b: 2 * a + b,
}
SPLITS = ("language model", "reward", "evaluation")
COUNT = 400


@pytest.fixture(scope="module")
def problems():
    draw = jax.jit(jax.vmap(draw_problem, in_axes=(0, None)), static_argnums=1)
    return {split: draw(jax.random.split(jax.random.key(0), COUNT), split) for split in SPLITS}


def row(problems, i):
    return jax.tree.map(lambda leaf: leaf[i], problems)


def solution_by_hand(text):
    """The words of the right solution of a rendered problem, and its answer."""
    value, *rest = text.split()
    value, words = int(value), []
    for operation, operand in zip(rest[::2], rest[1::2], strict=True):
        value = APPLY[operation](value, int(operand)) % 19
        words += [operation, operand, str(value), ";"]
    return [*words, "A", str(value), "<eos>"], value


def as_tokens(words):
    tokens = np.zeros(SOLUTION_SLOTS, np.int32)
    tokens[: len(words)] = [VOCABULARY.index(word) for word in words]
    return tokens


def test_answers_steps_and_prompts_agree_with_plain_python(problems):
    check = jax.jit(jax.vmap(lambda p, t, n: (right_answer(p), is_correct(p, t, n), is_sound(p, t, n), prompt_of(p))))
    rng = np.random.default_rng(1)
    texts, lengths, sound, correct, answers = [], [], [], [], []
    for i in range(COUNT):
        words, answer = solution_by_hand(render_problem(row(problems["evaluation"], i)))
        forms = [(words, True, True), (words[: rng.integers(1, len(words) - 2)], True, False)]
        place = 4 * int(rng.integers(0, len(words) // 4)) + 2
        slipped = [*words]
        slipped[place] = str((int(words[place]) + 1) % 19)
        forms.append((slipped, False, True))  # a wrong step, and the right answer all the same
        forms.append(([*words[:-2], str((answer + 3) % 19), "<eos>"], False, False))
        texts.append([as_tokens(form) for form, _, _ in forms])
        lengths.append([len(form) for form, _, _ in forms])
        sound.append([s for _, s, _ in forms])
        correct.append([c for _, _, c in forms])
        answers.append(answer)
    arguments = (problems["evaluation"], jnp.asarray(np.array(texts)), jnp.asarray(lengths, jnp.int32))
    found_answers, found_correct, found_sound, (ids, ends) = check(*arguments)
    np.testing.assert_array_equal(found_answers, answers)
    np.testing.assert_array_equal(found_correct, correct)
    np.testing.assert_array_equal(found_sound, sound)
    # The prompt says the problem, and reading it back gives the problem.
    again = jax.jit(jax.vmap(problem_of))(ids, ends)
    for i in range(20):
        words = [VOCABULARY[t] for t in np.asarray(ids[i, : ends[i]])]
        assert render_problem(row(problems["evaluation"], i)).split() == [words[-2], *words[1:-2]]
        assert render_problem(row(again, i)) == render_problem(row(problems["evaluation"], i))


def test_the_checker_follows_texts_token_by_token(problems):
    problem = row(problems["evaluation"], 3)
    words, answer = solution_by_hand(render_problem(problem))
    wrong = [*words[:6], str((int(words[6]) + 1) % 19), *words[7:]]
    texts = jnp.asarray(np.array([as_tokens(words), as_tokens(wrong)]))
    ids, length = prompt_of(problem)

    @jax.jit
    def follow(ids, length, columns):
        def step(state, column):
            state = Checker().advance(state, column)
            return state, state.sound

        return jax.lax.scan(step, Checker().start(ids, 2, SOLUTION_SLOTS, length), columns)

    state, seen = follow(jnp.pad(ids, (0, 13)), length, texts[:, : len(words)].T)
    assert int(state.answer) == answer
    np.testing.assert_array_equal(seen, [[True, i < 6] for i in range(len(words))])
    # An idle lane keeps its verdict, and a verdict moves with its lane.
    state = Checker().advance(state, texts[:, 0], jnp.zeros(2, bool)).take(jnp.array([1, 0]))
    np.testing.assert_array_equal(state.sound, [False, True])


def test_no_problem_is_in_two_splits(problems):
    marks = {split: set(np.asarray(jax.jit(jax.vmap(fingerprint))(problems[split])).tolist()) for split in SPLITS}
    assert marks["evaluation"] == {0, 1} and marks["reward"] == {2, 3, 4, 5}
    assert marks["language model"] == set(range(6, 19))
    # Equal problems have equal fingerprints: what is not read does not count.
    problem = row(problems["reward"], 0)
    other = problem._replace(operands=jnp.where(jnp.arange(8) < problem.count, problem.operands, 7))
    assert int(fingerprint(problem)) == int(fingerprint(other))
    # For given operations and operands, every first number has a fingerprint of its own.
    first = jnp.arange(19)
    assert len(set(np.asarray(jax.vmap(lambda a: fingerprint(problem._replace(first=a)))(first)).tolist())) == 19
    with pytest.raises(ValueError, match="there is no split 'test'"):
        draw_problem(jax.random.key(0), "test")


def test_each_writer_misreads_in_one_way():
    traces = jax.device_get(jax.jit(jax.vmap(draw_trace))(jax.random.split(jax.random.key(4), 300)))
    wrong_results = results = 0
    for prompt, tokens, length in zip(traces.prompt, traces.tokens, traces.length, strict=True):
        words = [VOCABULARY[t] for t in tokens[:length]]
        asked = [VOCABULARY[t] for t in prompt]
        reading, count = {}, length // 4
        value = int(asked[1 + 2 * count])
        for t in range(count):
            operation, operand, result, mark = words[4 * t : 4 * t + 4]
            assert operand == asked[2 + 2 * t] and mark == ";"
            assert reading.setdefault(asked[1 + 2 * t], operation) == operation
            wrong_results += APPLY[operation](value, int(operand)) % 19 != int(result)
            results, value = results + 1, int(result)
        assert words[-3:] == ["A", str(value), "<eos>"]
    # About 1800 steps, of which 3% are slips: outside these limits once in 1e6 seeds.
    assert 0.01 < wrong_results / results < 0.06


def test_solutions_are_readable():
    words = "* 3 2 ; - 4 17 ; A 17 <eos>".split()
    problem = problem_of(jnp.array([VOCABULARY.index(w) for w in "Q * 3 - 4 7 ;".split()]), 7)
    assert render_problem(problem) == "7 * 3 - 4"
    assert render_solution(problem, as_tokens(words).tolist(), 11) == "7 * 3 = 2\n2 - 4 = 17\nanswer 17"
    assert render_solution(problem, as_tokens(words).tolist(), 6) == "7 * 3 = 2\n- 4"
    assert int(answer_of(jnp.asarray(as_tokens(words)), jnp.int32(9))) == -1
    assert OPERATIONS == tuple(APPLY)
