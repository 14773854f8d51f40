"""Drawing answers and asking about them, on toys."""

import jax.numpy as jnp
import numpy as np
import pytest

from probinf.figures._cells import Cells
from probinf.figures._micro_tasks import Check, MicroTask
from probinf.figures._micro_tasks_run import SAMPLES, _read, asked_answers, pack, run, sample_task
from tests.lm.models import random_llama


def task(question="Which?", max_tokens=5):
    return MicroTask("toy", question, (), lambda a: a == "dog", (Check("any", lambda a: True),) * 5, max_tokens)


def test_each_lane_reads_its_own_row_and_no_padding():
    lm = random_llama()
    prefix, rows = [3, 7, 1], [[5], [2, 9, 4], [8, 8]]
    tokens = np.array([row + [0] * (4 - len(row)) for row in rows])
    active = np.arange(4)[None, :] < np.array([[len(row)] for row in rows])
    found = _read(lm, lm.start(jnp.asarray(prefix), 3, 4), jnp.asarray(tokens), jnp.asarray(active))
    for logits, row in zip(found, rows, strict=True):
        alone = lm.start(jnp.asarray(prefix + row), 1, 1)
        assert np.allclose(logits, lm.logits(alone)[0], atol=2e-5)


def test_answers_end_with_their_line_and_have_its_log_probability(toy_model):
    found = sample_task(toy_model, task(), 32)
    assert len(found["answers"]) == len(found["log_prob"]) == len(found["length"]) == 32
    logits = np.asarray(toy_model.lm.table[0]) / 0.8
    log_p = dict(zip(("dog", "river", "moon", "the", "", "<end>"), logits - np.logaddexp.reduce(logits), strict=True))
    whole = 0
    for answer, log_prob, length in zip(*found.values(), strict=True):
        words = answer.split()
        # With the end of the line, which counts as a token.
        if not answer.endswith("\u2026") and length == len(words) + 1:
            whole += 1
            assert log_prob == pytest.approx(np.mean([log_p[word] for word in (*words, "")]), abs=1e-3)
    assert whole > 5
    other = sample_task(toy_model, task("Who?"), 32)
    # The toy reads no question: only the random numbers differ.
    assert other["answers"] != found["answers"]


def test_the_most_frequent_answers_are_asked_about():
    assert asked_answers(["a", "b", "b", "c", "c", "c", "d"], 3) == ["c", "b", "a"]


def test_a_run_resumes_from_its_cells_and_packs_every_sample(toy_model, tmp_path):
    tasks, told = (task(), task("Who?")), []
    found = run(toy_model, tasks, Cells(tmp_path), told.append)
    assert len(told) == 4 and len(found[0]["asked"]) > 1 and not found[1]["asked"]
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert run(toy_model, tasks, Cells(tmp_path), told.append) == found
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == stamps
    packed = pack(tasks, found)
    assert packed["answer"].shape == packed["length"].shape == (2, SAMPLES)
    for i in range(2):
        assert [packed["answers"][j] for j in packed["answer"][i]] == found[i]["answers"]
    asked = packed["log_odds"][packed["answer"]]
    assert np.isfinite(asked[0]).any() and np.isnan(asked[1]).all()
