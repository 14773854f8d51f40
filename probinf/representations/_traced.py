"""Traced: a program as a function of its trace, the uniforms that it consumes in order.

Law: a traced program means the push-forward of weight * Lebesgue along its value (`marginal`).

Source: the traced representation of arXiv 1711.03219; the fixed length is ours, since compiled shapes are fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import count, is_count
from probinf._measure import Distribution, Factor
from probinf._primitives import Draw, Map, Reweight
from probinf._sampler import Sampler


class Run(NamedTuple):
    """What one trace makes of a program that has C checkpoints, the last of which is its end.

    log_weights: log of the product of all scores up to each checkpoint, in nats; a weight of zero stays zero.
    used: how many coordinates the program has consumed up to each checkpoint, never fewer than at the one before.
    """

    value: Any
    log_weights: Float[Array, " C"]
    used: Int[Array, " C"]


class Traced(eqx.Module):
    """A program that is re-run from its trace: `program(trace) -> Run`, with a trace of `length` uniforms.

    Law: up to checkpoint c it means `exp(log_weights[c])` times Lebesgue measure on traces. The program promises to
    consume coordinates in order: what it gives at checkpoint c must not change when coordinates from `used[c]` on do
    (`probinf.validity.check_trace` tests the promise). `length` is the most that it may consume: a run that used more
    has no weight and is reported as invalid, never cut short.

    Make `program` a Module or a function that is defined once: a new closure compiles anew.

    Raises: ValueError for a length below one, and where `program` does not return C weights and C counts.
    """

    program: Callable[[Float[Array, " L"]], Run]
    length: int = eqx.field(static=True)

    def __check_init__(self):
        """Rejects a program without a trace, or whose checkpoints are not counted."""
        if not is_count(self.length):
            raise ValueError(f"a trace needs at least one coordinate, got length={self.length}")
        weights, used = self._shape.log_weights.shape, self._shape.used.shape
        if len(weights) != 1 or weights != used or weights[0] < 1:
            raise ValueError(
                f"a traced program gives log_weights and used of one shape [checkpoints], got {weights} and {used}: "
                "return arrays of shape [1] if its end is the only checkpoint"
            )

    @property
    def checkpoints(self) -> int:
        """How many checkpoints a run passes, its end included."""
        return self._shape.log_weights.shape[0]

    def run(self, trace: Float[Array, " L"]) -> Run:
        """Runs the program on a trace."""
        return self.program(trace)

    @property
    def _shape(self) -> Run:
        return eqx.filter_eval_shape(self.program, jnp.zeros(self.length))


class UniformTrace(Distribution):
    """A trace of independent uniforms.

    Law: Lebesgue measure on [0, 1)^length, whatever the value so far.
    """

    length: int = eqx.field(static=True)
    name: str = eqx.field(static=True, default="uniform trace")

    def __check_init__(self):
        """Rejects what is no number of coordinates."""
        count("length", self.length)

    def sample(self, key: PRNGKeyArray, x: Any) -> Float[Array, " L"]:
        """Fresh coordinates."""
        del x
        return jax.random.uniform(key, (self.length,))

    def log_density(self, x: Float[Array, " L"]) -> Float[Array, ""]:
        """Zero."""
        del x
        return jnp.zeros(())


class TraceWeight(Factor):
    """The weight of a trace up to a checkpoint (counted from 0), as a factor.

    Law: density `exp(log_weights[checkpoint])` of the run; NaN, which is reported, where the trace was too short.
    """

    traced: Traced
    checkpoint: Int[Array, ""] = eqx.field(converter=lambda c: jnp.asarray(c, jnp.int32))

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The weight and its checkpoint."""
        return f"weight {'c' if isinstance(self.checkpoint, Tracer) else int(self.checkpoint)}"

    def log_density(self, x: Float[Array, " L"]) -> Float[Array, ""]:
        """Re-runs the program, in nats."""
        return log_weight(self.traced, self.traced.run(x), self.checkpoint)


class TraceValue(eqx.Module):
    """The value that a trace gives."""

    traced: Traced

    def __call__(self, trace: Float[Array, " L"]) -> Any:
        """Re-runs the program."""
        return self.traced.run(trace).value


def log_weight(traced: Traced, run: Run, checkpoint: Int[Array, ""]) -> Float[Array, ""]:
    """Log-weight of a run at a checkpoint; NaN where it used more than the trace has."""
    return jnp.where(run.used[checkpoint] > traced.length, jnp.nan, run.log_weights[checkpoint])


def marginal(traced: Traced) -> Sampler:
    """Draws a trace, weighs it, and keeps the value: the sampler that forgets the trace.

    Law: m -> the meaning of the program (PROPER): the push-forward of weight times Lebesgue measure.
    """
    last = traced.checkpoints - 1
    return Draw(UniformTrace(traced.length)) >> Reweight(TraceWeight(traced, last)) >> Map(TraceValue(traced))
