"""What programs return, raise and change, against plain Python: the program and its tests in one interpreter.

The files of `cases` hold programs with tests. Each is judged twice: by the sandbox, and by running the program and its
tests in one namespace, which is what the tests were written for and gives the independent verdict.
"""

import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from probinf.verifiers.programs import Limits, ProgramStatus, Sandbox, Trial

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox runs on Linux only")


class Case(NamedTuple):
    """A program, its tests, and what stands before both."""

    name: str
    setup: str
    program: str
    tests: str

    def trial(self) -> Trial:
        indented = "".join(f"    {line}\n" for line in self.tests.splitlines())
        return Trial(self.program, "f", f"def check(candidate):\n{indented}", self.setup)

    def plainly(self) -> BaseException | None:
        """What plain Python says, in a thread with a stack of its own."""
        namespace: dict[str, Any] = {"__name__": "plain"}
        caught: list[BaseException] = []

        def run() -> None:
            try:
                trial = self.trial()
                exec(f"{trial.setup}\n{trial.program}\n{trial.tests}\ncheck(f)\n", namespace)
            except BaseException as error:  # noqa: B902
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return caught[0] if caught else None


def read(file: str) -> list[Any]:
    cases = []
    for text in (Path(__file__).parent / "cases" / file).read_text().split("=== ")[1:]:
        name, _, rest = text.partition("\n")
        program, tests = rest.split("--- tests\n")
        *setup, program = program.split("--- program\n")
        cases.append(pytest.param(Case(name, "".join(setup), program, tests), id=name))
    return cases


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(Limits()) as sandbox:
        yield sandbox


@pytest.mark.parametrize("case", [*read("values.txt"), *read("errors.txt")])
def test_what_passes_in_plain_python_passes(case: Case, sandbox: Sandbox):
    assert case.plainly() is None
    outcome = sandbox.judge(case.trial())
    assert outcome.passed, outcome


@pytest.mark.parametrize("case", read("wrong.txt"))
def test_what_fails_in_plain_python_fails(case: Case, sandbox: Sandbox):
    assert isinstance(case.plainly(), AssertionError)
    assert sandbox.judge(case.trial()).status is ProgramStatus.FAILED


@pytest.mark.parametrize("case", read("unsupported.txt"))
def test_what_cannot_be_compared_is_not_called_wrong(case: Case, sandbox: Sandbox):
    outcome = sandbox.judge(case.trial())
    assert outcome.status is ProgramStatus.UNSUPPORTED and outcome.detail, outcome


def test_a_value_that_is_nested_too_deep_is_not_called_wrong(sandbox: Sandbox):
    program = "def f(n):\n    r = []\n    for _ in range(n):\n        r = [r]\n    return r\n"
    outcome = sandbox.judge(Trial(program, "f", "def check(f):\n    assert f(100_000)\n"))
    assert outcome.status is ProgramStatus.UNSUPPORTED


def test_what_is_raised_and_not_expected_is_an_error(sandbox: Sandbox):
    raising = "class Own(ValueError):\n    pass\ndef f(x):\n    raise Own('bad')\n"
    outcome = sandbox.judge(Trial(raising, "f", "def check(f):\n    assert f(1)\n"))
    assert (outcome.status, outcome.detail) == (ProgramStatus.ERROR, "Own: bad")
    other = "def check(f):\n    try:\n        f(1)\n    except TypeError:\n        pass\n"
    assert sandbox.judge(Trial(raising, "f", other)).status is ProgramStatus.ERROR


# By hand, as a program could write them, where the tests hold classes whose instances are equal to everything.
_TOLERANT = """
from unittest import mock
class Near:
    def __init__(self, value): self.value, self.slack = value, 0
    def __eq__(self, other): return abs(self.value - other) <= self.slack
def check(candidate):
    assert candidate(lambda: 982451653) == 982451653
"""


@pytest.mark.parametrize(
    "answer",
    [
        '{"value": {"@": [-9, {"object": [["", "Near"], [["value", 0], ["slack", Infinity]]]}]}}',
        '{"value": {"@": [-9, {"object": [["unittest.mock", "_ANY"], []]}]}}',
        '{"value": {"class": ["unittest.mock", "_ANY"]}}',
        '{"value": {"member": [["unittest.mock", "_ANY"], 1]}}',
        '{"ask": [1, "get", ["__code__"], []]}',
        '{"ask": [1, "get", ["__globals__"], []]}',
        '{"ask": [2, "__call__", [], []]}',
        '{"ask": [1, "__repr__", [], []]}',
    ],
)
def test_an_answer_by_hand_makes_nothing_that_lies(answer: str, sandbox: Sandbox):
    program = f"""
import os, struct
def f(g):
    data = {answer.encode()!r}
    os.write(5, struct.pack("!I", len(data)) + data)
    return 0
"""
    outcome = sandbox.judge(Trial(program, "f", _TOLERANT))
    assert outcome.status in (ProgramStatus.ERROR, ProgramStatus.FAILED, ProgramStatus.UNSUPPORTED), outcome


def test_an_exception_of_the_tests_alone_is_not_raised_by_its_name(sandbox: Sandbox):
    tests = """
class Done(Exception):
    pass
def check(candidate):
    try:
        assert candidate(3) == 982451653
        raise Done
    except Done:
        pass
"""
    program = "class Done(Exception):\n    pass\ndef f(x):\n    raise Done\n"
    assert sandbox.judge(Trial(program, "f", tests)).status is ProgramStatus.ERROR


def test_a_function_of_the_tests_can_be_called_and_nothing_else(sandbox: Sandbox):
    program = """
def f(g):
    found = []
    for name in ("__globals__", "__code__", "__closure__", "__defaults__", "__dict__", "__self__", "__wrapped__", "x"):
        try:
            found.append(getattr(g, name))
        except AttributeError:
            pass
    return g(), g.__name__, found
"""
    tests = "def check(f):\n    def secret(x=7):\n        return x\n    assert f(secret) == (7, 'secret', [{}])\n"
    outcome = sandbox.judge(Trial(program, "f", tests))
    assert outcome.status is not ProgramStatus.PASSED
    tests = tests.replace("[{}]", "[]")
    assert sandbox.judge(Trial(program, "f", tests)).passed, sandbox.judge(Trial(program, "f", tests))


def by_hand(*answers: str) -> str:
    """A program whose function writes messages as no honest side does."""
    return f"""
import os, struct
def f(*args):
    for data in {[answer.encode() for answer in answers]!r}:
        os.write(5, struct.pack("!I", len(data)) + data)
    return 0
"""


# Each passes in plain Python, or would if the message were believed: what is said instead, of the program alone.
_FORGED = {
    "an instance of a tuple of the standard library": (
        by_hand('{"value": {"@": [-9, {"named": [["unittest.mock", "_Call"], "T", [], false, []]}]}}'),
        "from unittest import mock\nassert isinstance(candidate(3), mock._Call)",
        ProgramStatus.FAILED,
    ),
    "attributes of a function of the tests": (
        by_hand('{"changed": [{"@": [1, {"object": [["functools", "_lru_cache_wrapper"], [["n", 7]]]}]}], "value": 0}'),
        "import functools\n@functools.cache\ndef g(x):\n    g.n += 1\ng.n = 0\ncandidate(g)\nassert g.n == 7",
        ProgramStatus.ERROR,
    ),
    "a method that is a class of the tests' process": (
        "class f:\n    parse = int\n",
        "assert candidate.parse('3') == 3",
        ProgramStatus.UNSUPPORTED,
    ),
    "items that are called": (
        by_hand(
            '{"value": {"@": [-9, {"lent": ["", "L", ["__next__"]]}]}}',
            '{"value": {"@": [-11, {"list": [{"class": ["builtins", "int"]}]}]}}',
        ),
        "assert next(candidate(1)) == 0",
        ProgramStatus.ERROR,
    ),
    "the end of an iterator of the tests": (
        "def f(g):\n    return g()\n",
        "def g():\n    return next(iter([]))\n"
        "for got, right in zip(map(candidate, [g, g]), [1, 2]):\n    assert got == right",
        ProgramStatus.ERROR,
    ),
    "a failed assertion in a function of the tests": (
        "def f(g):\n    try:\n        g(0)\n    except BaseException:\n        pass\n",
        "def g(x):\n    assert x == 982451653\ncandidate(g)",
        ProgramStatus.UNSUPPORTED,
    ),
    "a failed assertion in an iterator of the tests": (
        "def f(g):\n    try:\n        list(g)\n    except BaseException:\n        raise ValueError\n",
        "def g():\n    yield 1\n    assert False\ntry:\n    candidate(g())\nexcept ValueError:\n    pass",
        ProgramStatus.UNSUPPORTED,
    ),
    "a failed assertion that a function of the tests is given to catch": (
        "def f(g, h):\n    try:\n        g()\n    except BaseException as error:\n        caught = error\n"
        "    def again():\n        raise caught\n    h(again)\n",
        "def g():\n    assert False\ndef h(k):\n    try:\n        k()\n    except AssertionError:\n        pass\n"
        "candidate(g, h)",
        ProgramStatus.UNSUPPORTED,
    ),
    # What would be said of the tests: that they cannot be used.
    "nothing that can be called": (
        "f = 5\n",
        "try:\n    candidate(3)\nexcept TypeError:\n    pass\nelse:\n    assert False",
        ProgramStatus.ERROR,
    ),
    "an argument that a function of the tests makes too long": (
        "def f(g):\n    return len(g('x' * 700_000))\n",
        "assert candidate(lambda text: text + text)",
        ProgramStatus.OUTPUT_FLOOD,
    ),
    "a tuple within itself": (
        by_hand(
            '{"ask": [1, "__call__", [{"@": [-9, {"list": [{"@": [-10, {"tuple": [{"again": -9}]}]}]}]}], []]}',
            '{"ask": [1, "__call__", [{"again": -10}, 5], []]}',
        ),
        "assert candidate(lambda *values: 1) == 5",
        ProgramStatus.UNSUPPORTED,
    ),
    # In the message of the test that fails.
    "an object without a text": (
        "class L:\n    def __str__(self):\n        raise KeyError\n    __repr__ = __str__\ndef f(x):\n    return L()\n",
        "found = candidate(1)\nassert found is None, found",
        ProgramStatus.UNSUPPORTED,
    ),
}


@pytest.mark.parametrize("name", _FORGED)
def test_what_a_program_forges_is_not_believed(name: str, sandbox: Sandbox):
    program, tests, status = _FORGED[name]
    outcome = sandbox.judge(Case(name, "", program, tests).trial())
    assert outcome.status is status and outcome.detail, outcome


def test_members_of_an_enumeration_are_not_changed_and_not_made(sandbox: Sandbox):
    setup = "import enum\nclass C(enum.Enum):\n    A = 1\n    B = 2\n"
    for number in (1, -9):
        answer = f'{{"changed": [{{"@": [{number}, {{"object": [["", "C"], [["_value_", 2]]]}}]}}], "value": 0}}'
        trial = Case("", setup, setup + by_hand(answer), "candidate(C.A)\nassert C.A.value == 2").trial()
        outcome = sandbox.judge(trial)
        assert outcome.status is ProgramStatus.ERROR and "no plain object" in outcome.detail, outcome


def test_a_program_does_not_read_what_the_tests_were_handling(sandbox: Sandbox):
    program = """
def f(g=None):
    if g is None:
        return 0
    try:
        g()
    except ValueError as error:
        return str(error.__context__)
"""
    tests = """
def g():
    try:
        {}[1]
    except KeyError:
        raise ValueError
try:
    assert candidate() == 982451653, 'wanted 982451653'
except AssertionError:
    assert candidate(g) == '1'
    def g():
        raise ValueError
    assert candidate(g) == 'None'
"""
    outcome = sandbox.judge(Case("", "", program, tests).trial())
    assert outcome.passed, outcome
