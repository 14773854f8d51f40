"""Answers through intermediate variables, on four variables, with all traces told one by one."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from probinf import Draw, Map, Reweight, Sampler
from probinf.lm import Question, TabularModel, Trace
from probinf.samplers import Answer, Finished, FreeChoice, Reply, Thought, direct, free, scaffolded
from probinf.validity import FiniteMeasure, KernelCase, SamplerCase

# P(variable j is one | variable i is a) at [i][a][j], for four variables, and which variable follows which.
_ONE = np.array(
    [[[0.5, 0.8, 0.4, 0.3], [0.5, 0.1, 0.4, 0.7]], [[0.3, 0.5, 0.9, 0.2], [0.6, 0.5, 0.2, 0.4]],
     [[0.3, 0.7, 0.5, 0.6]] * 2, [[0.1, 0.4, 0.3, 0.5], [0.7, 0.2, 0.8, 0.5]]]
)  # fmt: skip
_NEXT = np.array([[0.0, 0.5, 0.2, 0.3], [0.5, 0.0, 0.4, 0.1], [0.1, 0.7, 0.0, 0.2], [0.2, 0.3, 0.5, 0.0]])
_QUESTION = Question(2, 0, 1)
# The model's probability, to this many parts, is compared with the trace.
_PARTS = 1e6
# Variables with their values, in the order in which they were written.
Written = tuple[tuple[int, int], ...]


def _model() -> TabularModel:
    with np.errstate(divide="ignore"):
        values, nexts = np.log(np.stack([1 - _ONE, _ONE], axis=-1)), np.log(_NEXT)
    return TabularModel(values.astype(np.float32), nexts.astype(np.float32))


class Told(eqx.Module):
    """A reply in whole numbers."""

    def __call__(self, x: Reply) -> tuple[Array, Array, Array]:
        """Variables, values, and the probability in millionths."""
        return x.trace.variables, x.trace.values, jnp.round(x.probability * _PARTS)


def deliberation_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """The three estimators, and the model's choice alone by the density that it states."""
    model, told = _model(), Map(Told())
    through = scaffolded(model, _QUESTION, jnp.array([1, 3]))
    thoughts = FreeChoice(model, _QUESTION, max_steps=2)
    return (
        SamplerCase("direct", direct(model, _QUESTION) >> told, n=1, target=_law(_through(()), 2)),
        SamplerCase("scaffolded", through >> told, n=1, target=_law(_through((1, 3)), 4)),
        SamplerCase("free", free(model, _QUESTION, max_steps=2) >> told, n=1, target=_law(_freely(), 3)),
        SamplerCase("free, its thoughts", Draw(thoughts) >> Reweight(Finished()), n=1),
    )


def deliberation_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """What released code does, or might: each is held to the law of the right estimator."""
    model, told = _model(), Map(Told())
    right, forgetful = Answer(model, _QUESTION), Forgets(model, _QUESTION)
    thoughts = FreeChoice(model, _QUESTION, max_steps=2)
    again = FreeChoiceAgain(model, _QUESTION, max_steps=2)
    every: list[tuple[str, Sampler]] = [
        ("unfinished thoughts that answer all the same", Draw(thoughts) >> Map(right)),
        ("an answer that forgets the thought", Draw(thoughts) >> Reweight(Finished()) >> Map(forgetful)),
        ("thoughts that name a variable twice", Draw(again) >> Reweight(Finished()) >> Map(right)),
    ]
    return tuple(SamplerCase(name, sampler >> told, n=1, target=_law(_freely(), 3)) for name, sampler in every)


class Forgets(Answer):
    """Asks for the target as if nothing had been written since the question."""

    def __call__(self, x: Thought) -> Reply:
        """The direct answer."""
        start = Trace(x.trace.variables, x.trace.values, jnp.int32(1))
        return super().__call__(x._replace(trace=start))._replace(trace=x.trace)


class FreeChoiceAgain(FreeChoice):
    """Names the given variable again."""

    def log_step(self, trace: Trace, t: Int[Array, ""]) -> Float[Array, " variables_or_none"]:
        """The model's choice among all variables but itself."""
        del t
        return jnp.append(self.model.log_next(trace, self.question.target), -jnp.inf)


def _tables() -> tuple[Float[np.ndarray, "4 2 4 2"], Float[np.ndarray, "4 4"]]:
    """What the sampler holds, normalized in double precision."""
    values, nexts = np.exp(np.asarray(_model().log_values, float)), np.exp(np.asarray(_model().log_nexts, float))
    return values / values.sum(axis=-1, keepdims=True), nexts / nexts.sum(axis=-1, keepdims=True)


def _through(scaffold: tuple[int, ...], written: Written = ((0, 1),)) -> list[tuple[Written, float]]:
    """All traces through the scaffold, with their chances."""
    if not scaffold:
        return [(written, 1.0)]
    (i, a), j, (values, _) = written[-1], scaffold[0], _tables()
    rest = ((b, _through(scaffold[1:], (*written, (j, b)))) for b in (0, 1))
    return [(trace, values[i, a, j, b] * mass) for b, traces in rest for trace, mass in traces]


def _freely(names: int = 2, written: Written = ((0, 1),), mass: float = 1.0) -> list[tuple[Written, float]]:
    """All traces that come to the target within so many names, with their chances."""
    if not names:
        return []
    (i, a), (values, nexts) = written[-1], _tables()
    new = [j for j in range(4) if j not in dict(written)]
    found = []
    for j in new:
        named = mass * nexts[i, j] / nexts[i, new].sum()
        if j == _QUESTION.target:
            found.append((written, named))
            continue
        for b in (0, 1):
            found += _freely(names - 1, (*written, (j, b)), named * values[i, a, j, b])
    return found


def _law(traces: list[tuple[Written, float]], slots: int) -> FiniteMeasure:
    """The traces as the sampler holds them, with the answer after each."""
    values, _ = _tables()
    names = np.array([[j for j, _ in written] + [-1] * (slots - len(written)) for written, _ in traces])
    bits = np.array([[b for _, b in written] + [0] * (slots - len(written)) for written, _ in traces])
    answers = [values[(*written[-1], _QUESTION.target, 1)] for written, _ in traces]
    return FiniteMeasure((names, bits, np.round(np.array(answers) * _PARTS)), np.log([mass for _, mass in traces]))
