"""Weight rules: what the rewards of the steps of a solution are worth to a particle filter.

The literature knows several rules under one name; they have different limits. Write r_t for the reward after step t, T
for the number of steps, p for the language model. With N -> infinity a filter that multiplies each lane's weight by the
rule's potential after each step follows

    Product        p(x) prod_t r_t                   the target that arXiv 2502.01618 states (equation 2)
    Odds           p(x) prod_t r_t / (1 - r_t)       what its released code selects by
    SoftmaxReward  p(x) prod_t exp(r_t)              its algorithm 1 read literally
    Last           p(x) r_T                          weights at the end only: weighted best-of-n
    ValueRatio     p(x) r_T                          the same, steered by r_t / r_{t-1} on the way (twisted SMC)
    Min            p(x) min_t r_t                    steered by the ratio of successive minima

Finished solutions keep their weight while others go on (they are absorbing). `reweight_finished` gives a finished one
its last potential again in each further round up to `max_steps`, as the released code does while its pool is alive:
another target, which prefers early endings that score well.

Source: arXiv 2502.01618, equations 1 and 2 and algorithm 1; aggregates: its section 4.2; twisted: arXiv 2404.17546.
"""

from __future__ import annotations

import abc
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from probinf._measure import Factor
from probinf.lm import History, history_of

Aggregate = Literal["last", "product", "min"]
_AGGREGATES = ("last", "product", "min")


class WeightRule(Factor):
    """The potential of a round: a factor for each lane that wrote a step in it, one for the others.

    Law: the product of a solution's potentials is the factor of its rule in the table above.
    """

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The rule's name."""
        return type(self).__name__

    @abc.abstractmethod
    def log_potential(self, history: History) -> Float[Array, " n"]:
        """Log of the potential of the latest step of each lane, in nats."""

    def counted(self, history: History) -> Bool[Array, " n"]:
        """The lanes whose weight changes in this round."""
        return history.advanced

    def log_density(self, x: Any) -> Float[Array, ""]:
        """The potential of the latest round of one solution."""
        return self.log_density_lanes(jax.tree.map(lambda leaf: leaf[None], x), 1)[0]

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """The potential of the latest round of each lane, of a cloud on the device or on the host."""
        del n
        history = history_of(values)
        return jnp.where(self.counted(history), self.log_potential(history), 0.0)


class StepRule(WeightRule):
    """A rule whose potential is a function of the rewards so far, given anew at each step.

    `aggregate` says which number counts as the reward of a prefix: that of its last step, the product, or the minimum.

    Raises: ValueError for another aggregate or a temperature that is not positive.
    """

    aggregate: Aggregate = eqx.field(static=True, default="last")
    reweight_finished: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        """Rejects unknown aggregates."""
        check_aggregate(self.aggregate)

    def counted(self, history: History) -> Bool[Array, " n"]:
        """Those that advanced, and with `reweight_finished` those that are finished."""
        return history.advanced | (history.finished if self.reweight_finished else False)


class Product(StepRule):
    """Multiplies the rewards.

    Law: p(x) prod_t r_t for the aggregate "last".

    Source: arXiv 2502.01618, equation 2.
    """

    def log_potential(self, history: History) -> Float[Array, " n"]:
        """Log r_t."""
        return log_aggregate(history, self.aggregate)


class _Tempered(StepRule):
    temperature: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=1.0)

    def __check_init__(self):
        """Rejects what is no temperature."""
        if not isinstance(self.temperature, Tracer) and not float(self.temperature) > 0:
            raise ValueError(f"the temperature of the weights must be positive, got {float(self.temperature)}")


class Odds(_Tempered):
    """Multiplies the odds of the rewards, raised to the power 1 / temperature.

    Law: p(x) prod_t (r_t / (1 - r_t))^(1 / temperature) for the aggregate "last". A reward of one is no odds: such a
    lane gets weight zero, and the run the status INVALID.

    Source: the released code of arXiv 2502.01618, which selects by a softmax of the log-odds at each step.
    """

    def log_potential(self, history: History) -> Float[Array, " n"]:
        """log(r_t / (1 - r_t)) / temperature."""
        if self.aggregate == "product":
            log_r = log_aggregate(history, "product")
            log_odds = log_r - jnp.log(-jnp.expm1(log_r))
        else:
            log_odds = _log_odds(history, self.aggregate)
        return log_odds / self.temperature


class SoftmaxReward(_Tempered):
    """Multiplies exp(reward / temperature).

    Law: p(x) prod_t exp(r_t / temperature) for the aggregate "last".

    Source: arXiv 2502.01618, algorithm 1 read literally.
    """

    def log_potential(self, history: History) -> Float[Array, " n"]:
        """r_t / temperature."""
        return jnp.exp(log_aggregate(history, self.aggregate)) / self.temperature


class Last(WeightRule):
    """Weighs a solution by its last reward, when it is finished; nothing steers on the way.

    Law: p(x) r_T. On a filter that waits for weights to differ this is weighted best-of-n.
    """

    def log_potential(self, history: History) -> Float[Array, " n"]:
        """Log r_T at the end, zero before."""
        return jnp.where(history.finished, log_aggregate(history, "last"), 0.0)


class Min(WeightRule):
    """Multiplies the ratio of successive minima of the rewards.

    Law: p(x) min_t r_t.
    """

    def log_potential(self, history: History) -> Float[Array, " n"]:
        """Log of min_{s <= t} r_s / min_{s < t} r_s."""
        return _log_ratio(history, "min")


class ValueRatio(WeightRule):
    """Multiplies the ratio of successive rewards, which telescopes: the reward steers as a value, and counts once.

    Law: p(x) r_T.

    Source: twisted SMC, arXiv 2404.17546, with the reward as twist and as final potential.
    """

    def log_potential(self, history: History) -> Float[Array, " n"]:
        """Log of r_t / r_{t-1}."""
        return _log_ratio(history, "last")


def check_aggregate(aggregate: Aggregate) -> None:
    """Rejects unknown aggregates.

    Raises: ValueError for them.
    """
    if aggregate not in _AGGREGATES:
        raise ValueError(f"aggregate must be one of {', '.join(_AGGREGATES)}, got {aggregate!r}")


def log_aggregate(history: History, aggregate: Aggregate) -> Float[Array, " n"]:
    """Log of the aggregate of the rewards of all steps written so far; zero where there is none."""
    if aggregate == "product":
        log_r = jax.nn.log_sigmoid(history.log_odds)
        return jnp.sum(jnp.where(_written(history), log_r, 0.0), axis=1)
    return jnp.where(history.steps > 0, jax.nn.log_sigmoid(_log_odds(history, aggregate)), 0.0)


def _log_odds(history: History, aggregate: Aggregate) -> Float[Array, " n"]:
    written = _written(history)
    if aggregate == "min":
        return jnp.min(jnp.where(written, history.log_odds, jnp.inf), axis=1)
    latest = written & (jnp.arange(written.shape[1])[None, :] == history.steps[:, None] - 1)
    return jnp.sum(jnp.where(latest, history.log_odds, 0.0), axis=1)


def _log_ratio(history: History, aggregate: Aggregate) -> Float[Array, " n"]:
    now = log_aggregate(history, aggregate)
    before = log_aggregate(history._replace(steps=history.steps - 1), aggregate)
    # What was worth nothing stays so.
    return jnp.where(before == -jnp.inf, -jnp.inf, now - jnp.where(before == -jnp.inf, 0.0, before))


def _written(history: History) -> Bool[Array, "n max_steps"]:
    return jnp.arange(history.log_odds.shape[1])[None, :] < history.steps[:, None]
