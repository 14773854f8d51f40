"""Unit tests as a verifier: accepts a continuation whose program passes."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf._measure import Factor
from probinf.verifiers._verifier import Verifier
from probinf.verifiers.programs._outcome import Outcome
from probinf.verifiers.programs._sandbox import Sandbox, Trial, shared_sandbox
from probinf.verifiers.programs._tasks import ProgramTask


class UnitTests(Verifier, Factor):
    """Accepts a text that, after the task's prompt, passes the first `asserts` of its tests (default: all).

    An imperfect verifier: a wrong program that the tests do not tell apart is accepted, and the fewer asserts, the
    more of them are. A stronger one accepts a subset of what a weaker one does.

    Law: as a factor, density one where a text is accepted, zero elsewhere. Values are texts (`str`), one for each lane;
    for the `Generation` of a language model take `Accepted(UnitTests(task), tokenizer)`. It runs on the host.

    Programs run in `sandbox`, by default in one that all share.

    Raises: ValueError for a number of asserts that the task does not have; SandboxError where no sandbox can be had.
    """

    task: ProgramTask = eqx.field(static=True)
    asserts: int = eqx.field(static=True)
    sandbox: Sandbox = eqx.field(static=True, repr=False)
    _weakened: ProgramTask = eqx.field(static=True, repr=False)

    def __init__(self, task: ProgramTask, asserts: int | None = None, *, sandbox: Sandbox | None = None):
        self.task = task
        self.asserts = task.asserts if asserts is None else asserts
        self._weakened = task if asserts is None else task.with_asserts(asserts)
        self.sandbox = sandbox or shared_sandbox()

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Task and strength."""
        return f"{self.task.name}[{self.asserts}/{self.task.asserts} asserts]"

    @property
    def traceable(self) -> bool:
        """False: programs run on the host."""
        return False

    def trial(self, text: str) -> Trial:
        """What the sandbox is given for a text."""
        task = self._weakened
        return Trial(task.program(text), task.entry_point, task.tests, task.setup)

    def judge(self, text: str) -> Outcome:
        """How the program of a text fares, with the reason."""
        return self.sandbox.judge(self.trial(text))

    def accepts(self, text: str) -> bool:
        """Whether the tests pass."""
        return self.judge(text).passed

    def alive(self, prefix: str) -> bool:
        """True: almost any beginning can be made to pass."""
        del prefix
        return True

    def instruction(self) -> str:
        """The prompt, which a model continues."""
        return self.task.prompt

    def log_density(self, x: Any) -> Float[Array, ""]:
        """0 if the text `x` is accepted, else -inf."""
        return self.log_density_lanes([x], 1)[0]

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """0 for each text that is accepted, else -inf; equal texts are run once.

        Raises: TypeError for values that are no texts.
        """
        del n
        if not all(isinstance(text, str) for text in values):
            raise TypeError("UnitTests judges texts: draw values of type str, or take Accepted(verifier, tokenizer)")
        texts = list(dict.fromkeys(values))
        outcomes = self.sandbox.judge_all(map(self.trial, texts))
        passed = {text: outcome.passed for text, outcome in zip(texts, outcomes, strict=True)}
        return jnp.where(jnp.asarray([passed[text] for text in values]), 0.0, -jnp.inf)
