"""Verifiers as factors of a language model's measure: the guide and the constraint itself."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinf._measure import Factor
from probinf.verifiers._lane_texts import Decoder, LaneText, lane_texts
from probinf.verifiers._verifier import Verifier

_MEMORY_SIZE = 2**16


class _Memory(dict[LaneText, float]):
    """Scores of texts seen: finished and resampled lanes come back at each step.

    All memories are equal, because what it remembers is no part of what a factor is.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Memory)

    def __hash__(self) -> int:
        return hash(_Memory)


class TextPotential(Factor):
    """The log-potential of a verifier on the texts of a `Generation`; a twist that guides particles.

    A text is finished where the lane is (end-of-text token or last slot), and where it contains `stop`,
    before which it ends. The potential is evaluated on the host, once for each different text.

    Law: where it is -inf, `Accepted` of the same arguments is -inf for the lane and each continuation.
    """

    verifier: Verifier
    tokenizer: Decoder = eqx.field(static=True)
    stop: str | None = eqx.field(static=True, default=None)
    name: str = eqx.field(static=True, init=False)
    _memory: _Memory = eqx.field(static=True, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_stop(self.stop)
        self.name = f"potential({self.verifier.name})"
        self._memory = _Memory()

    @property
    def traceable(self) -> bool:
        """False: texts are read on the host."""
        return False

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Log-potential of one lane of a `Generation`, in nats."""
        return self.log_density_lanes(x, 1)[0]

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """Log-potential of each lane of a `Generation`, in nats; -inf for a lane that cannot be accepted."""
        return jnp.asarray([self._score(lane) for lane in lane_texts(values, self.tokenizer, self.stop)], float)

    def _score(self, lane: LaneText) -> float:
        if lane not in self._memory:
            if len(self._memory) >= _MEMORY_SIZE:
                self._memory.clear()
            self._memory[lane] = float(self.verifier.log_potential(lane.text, lane.finished))
        return self._memory[lane]


class Accepted(Factor):
    """The constraint itself: density one for a finished text that the verifier accepts, zero for any other.

    A text is finished as in `TextPotential`; a lane that could still go on is not accepted, so run all lanes
    to their end first.
    """

    verifier: Verifier
    tokenizer: Decoder = eqx.field(static=True)
    stop: str | None = eqx.field(static=True, default=None)
    name: str = eqx.field(static=True, init=False)

    def __post_init__(self) -> None:
        _check_stop(self.stop)
        self.name = f"accepted({self.verifier.name})"

    @property
    def traceable(self) -> bool:
        """False: texts are read on the host."""
        return False

    def log_density(self, x: Any) -> Float[Array, ""]:
        """0 if this lane of a `Generation` is accepted, else -inf."""
        return self.log_density_lanes(x, 1)[0]

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """0 for each lane of a `Generation` that is accepted, else -inf."""
        lanes = lane_texts(values, self.tokenizer, self.stop)
        accepted = [lane.finished and self.verifier.accepts(lane.text) for lane in lanes]
        return jnp.asarray([0.0 if good else -math.inf for good in accepted], float)


def _check_stop(stop: str | None) -> None:
    if stop == "":
        raise ValueError("stop must be None or a string of at least one character, such as a newline.")
