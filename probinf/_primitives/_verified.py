"""Verified: try again until a verifier accepts, within a budget."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key
from probinf._measure import Factor, Guarantee, MeaningError, Measure, as_factor
from probinf._particles import Particles, add_log, is_lane_state
from probinf._sampler import Sampler
from probinf._status import Status, status_if, worst_status


class Predicate(Factor):
    """One where a function of the value says yes (a boolean, or a positive density), zero elsewhere."""

    name: str = eqx.field(static=True)
    accepts: Callable[[Any], Array]

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Zero or -inf."""
        return jnp.where(as_bool(jnp.asarray(self.accepts(x))), 0.0, -jnp.inf)


def as_verdict(verify: Any) -> Factor:
    """A verifier as it is, or a function of one value as a predicate.

    Raises: TypeError for anything else.
    """
    if isinstance(verify, Factor) or not callable(verify):
        return as_factor(verify)
    accepts = cast(Callable[[Any], Array], verify)
    return Predicate(getattr(verify, "__name__", type(verify).__name__), accepts)


class VerifiedInfo(NamedTuple):
    """`accepted`: whether each lane passed; `attempts`: how many tries each lane used, at most the budget."""

    status: Int[Array, ""]
    accepted: Bool[Array, " N"]
    attempts: Int[Array, " N"]


class Verified(Sampler):
    """Runs the inner sampler afresh for each lane until the verifier accepts its value, at most `budget` times.

    Law: m -> m * p(. | accepted) with mass 1 - (1 - a)^K, where p is the inner law from the lane's value, a its chance
    of acceptance and K the budget (CHANGES_TARGET). Where the inner sampler weighs its lanes, the weight rides along. A
    lane that never passes abstains: it keeps its last value with weight zero, and the status is ABSTAINED.

    `verify` is a factor whose density is positive exactly where a value is accepted, or a function of one value that
    returns a log-density or a boolean. A potential inside that returns NaN or +inf makes the status INVALID.

    Raises: ValueError for a budget below one; TypeError for an integer as verdict, and for values that hold a
    `LaneState`; MeaningError where the inner sampler resamples, because then lanes are not independent tries: wrap it
    in `Nested(inner, n)`.
    """

    inner: Sampler
    verify: Factor = eqx.field(converter=as_verdict)
    budget: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Rejects what has no law."""
        if not is_count(self.budget):
            raise ValueError(f"Verified needs a budget of at least one attempt, got {self.budget}")
        if not self.inner.lanewise:
            raise MeaningError(
                "Verified retries lanes one by one, but the inner sampler resamples across lanes: wrap it in "
                "Nested(inner, n)"
            )

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, VerifiedInfo]:
        """Tries until every lane is accepted or the budget is spent."""
        check_key(key)
        keys = jax.random.split(key, self.budget)
        result, accepted, status = self._attempt(keys[0], cloud)
        _refuse_lane_states(result.values)
        # Lanes that were dead before are not worth a retry, and do not abstain.
        dead = cloud.log_weights == -jnp.inf

        def retry(carry: tuple, attempt_key: PRNGKeyArray) -> tuple[tuple, None]:
            def again(carry: tuple) -> tuple:
                result, accepted, attempts, status = carry
                tried, passed, tried_status = self._attempt(attempt_key, cloud)
                status = jnp.maximum(status, tried_status)
                return _merge(accepted, result, tried), accepted | passed, attempts + ~accepted, status

            done = jnp.all(carry[1] | dead)
            if self.traceable:
                return jax.lax.cond(done, lambda carry: carry, again, carry), None
            return (carry if bool(done) else again(carry)), None

        carry = (result, accepted, jnp.ones(cloud.n, jnp.int32), status)
        if self.traceable and self.budget > 1:
            carry, _ = jax.lax.scan(retry, carry, keys[1:])
        else:
            for attempt_key in keys[1:]:
                carry, _ = retry(carry, attempt_key)
        result, accepted, attempts, status = carry
        log_weights = jnp.where(accepted, result.log_weights, -jnp.inf)
        status = jnp.maximum(status, status_if(~(accepted | dead), Status.ABSTAINED))
        return result.replace(log_weights=log_weights), VerifiedInfo(status, accepted, attempts)

    def _attempt(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Bool[Array, " N"], Int[Array, ""]]:
        result, info = self.inner(key, cloud)
        # The evidence of this attempt belongs to the lanes that keep it.
        gained = result.log_evidence - cloud.log_evidence
        result = result.replace(log_weights=add_log(result.log_weights, gained), log_evidence=cloud.log_evidence)
        return result, as_bool(self.verify.log_density_lanes(result.values, result.n)), worst_status(info)

    def meaning(self, m: Measure) -> Measure:
        """The inner meaning, restricted to what is accepted, times the mass of having been accepted in time."""
        retries = Retries(f"retries<={self.budget}", self.budget)
        return (self.inner.meaning(m) * Accepts(self.verify) * retries).claiming(Guarantee.CHANGES_TARGET)

    @property
    def traceable(self) -> bool:
        """Whether the inner sampler and the verifier are."""
        return self.inner.traceable and self.verify.traceable


class Accepts(Factor):
    """One where the verifier accepts, zero elsewhere."""

    verify: Factor

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The verifier's name."""
        return f"[{self.verify.name}]"

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Zero or -inf."""
        return jnp.where(as_bool(self.verify.log_density(x)), 0.0, -jnp.inf)


class Retries(Factor):
    """The factor (1 - (1-a)^K) / a that turns one try into K; a depends on where the lane stood before."""

    name: str = eqx.field(static=True)
    budget: int = eqx.field(static=True)

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Not a function of the value alone.

        Raises: MeaningError always: finite models can use `probinf.validity.denote`.
        """
        del x
        raise MeaningError("the mass of acceptance within a budget needs the acceptance rate, which has no closed form")


def as_bool(verdict: Array) -> Bool[Array, "..."]:
    """A verdict given as a boolean, or as a log-density that is above -inf where the value is accepted; NaN rejects.

    Raises: TypeError for an integer, which could be meant either way.
    """
    if jnp.issubdtype(verdict.dtype, jnp.integer):
        raise TypeError(f"a verifier gave {verdict.dtype}: return a boolean, or a log-density as a float")
    return verdict if verdict.dtype == jnp.bool_ else verdict > -jnp.inf


def _refuse_lane_states(values: Any) -> None:
    if any(map(is_lane_state, jax.tree.leaves(values, is_leaf=is_lane_state))):
        raise TypeError("Verified keeps each lane's own attempt, but the value holds a LaneState: Map it away first")


def _merge(keep: Bool[Array, " N"], old: Particles, new: Particles) -> Particles:
    select = lambda a, b: jnp.where(keep.reshape(-1, *[1] * (a.ndim - 1)), a, b)  # noqa: E731
    if isinstance(old.values, list):
        values = [a if kept else b for kept, a, b in zip(keep, old.values, new.values, strict=True)]
    else:
        values = jax.tree.map(select, old.values, new.values)
    log_twist = select(old.log_twist, new.log_twist)
    return old.replace(values=values, log_weights=select(old.log_weights, new.log_weights), log_twist=log_twist)
