"""SMC squared: particles over parameters, each of which carries a particle filter of its own.

Law: from nothing to prior(theta) * p(data | theta) (PROPER), for all numbers of outer and inner particles: Z-hat is
unbiased for the evidence of the prior, and Z-hat times the weighted average of any function of theta for its integral.
Guaranteed by the laws of the parts: the estimate of an inner filter grows by one row at a time, and in between each
lane moves by particle marginal Metropolis-Hastings on the data so far, estimate and inner cloud included.

When to move is settled beforehand, by `every`. To move only where the outer cloud has just been resampled makes the
move depend on the cloud and Z-hat f-hat biased for finite clouds; resampling on demand alone does not.

Source: Chopin, Jacob and Papaspiliopoulos, Journal of the Royal Statistical Society B 75 (2013), arXiv 1101.1528.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key, flip
from probinf._measure import Distribution, Factor, Guarantee, MeaningError, Measure, as_distribution, as_measure
from probinf._particles import Particles, add_log, spawn
from probinf._primitives import Draw, Resample, Reweight, Scan
from probinf._sampler import Kernel, Sampler
from probinf._status import Status, worst_status
from probinf.distributions import Row, StateSpaceModel
from probinf.kernels import ParticleMetropolisInfo, Proposal
from probinf.kernels._accept import log_accept_ratio, select
from probinf.samplers._bootstrap_filter import FilterStage, split_rows

# The inner filters resample at every row, the outer cloud on demand.
_SYSTEMATIC = Resample()
_ON_DEMAND = Resample(ess=0.5)


class Parameters(NamedTuple):
    """The value of an outer lane: parameters, and the filter that has read the data so far at them."""

    theta: Any
    filter: Particles


class InnerFilter(eqx.Module):
    """A bootstrap filter of n particles on the model at theta, one row at a time."""

    model: Callable[[Any], StateSpaceModel]
    rows: Row
    resample: Sampler
    n: int = eqx.field(static=True)

    def start(self, key: PRNGKeyArray, theta: Any) -> tuple[Particles, Int[Array, ""]]:
        """The cloud after the first row, and its status."""
        model, (first, _) = self.model(theta), split_rows(self.rows, "smc_squared")
        cloud, info = (Draw(model.initial()) >> Reweight(model.observation(first)))(key, spawn(self.n))
        return cloud, worst_status(info)

    def advance(self, key: PRNGKeyArray, theta: Any, cloud: Particles, row: Row) -> tuple[Particles, Int[Array, ""]]:
        """The cloud after one more row, and the status of reading it."""
        model = self.model(theta)
        cloud, info = FilterStage(model.transition, model.observation, self.resample)(row)(key, cloud)
        return cloud, worst_status(info)

    def run(self, key: PRNGKeyArray, theta: Any, last: Int[Array, ""]) -> tuple[Particles, Int[Array, ""]]:
        """The cloud after rows 0 to `last`, and its status, by a program that does not depend on how many they are."""
        start_key, later_key = jax.random.split(key)
        _, later = split_rows(self.rows, "smc_squared")

        def step(carry: tuple[Particles, Array], inputs: tuple[PRNGKeyArray, Row]) -> tuple[tuple, None]:
            step_key, row = inputs

            def read(carry: tuple[Particles, Array]) -> tuple[Particles, Array]:
                cloud, status = self.advance(step_key, theta, carry[0], row)
                return cloud, jnp.maximum(carry[1], status)

            return jax.lax.cond(row.t <= last, read, lambda carry: carry, carry), None

        keys = jax.random.split(later_key, self.rows.t.shape[0] - 1)
        return jax.lax.scan(step, self.start(start_key, theta), (keys, later))[0]


class Evidence(Factor):
    """The likelihood of rows 0 to t at the parameters, which an inner filter estimates without bias."""

    inner: InnerFilter
    t: Int[Array, ""]

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Which rows."""
        return f"p(rows 0..{int(self.t)} | theta)"

    def log_density(self, x: Any) -> Float[Array, ""]:
        """Not available.

        Raises: MeaningError always: it is an integral over trajectories.
        """
        del x
        raise MeaningError(f"'{self.name}' is an integral over trajectories: enumerate it on a finite model")


class MarginalMove(Kernel):
    """Particle marginal Metropolis-Hastings on parameters together with their inner filter, on rows 0 to `last`.

    Law: reversible for prior(theta) * law-of-a-filter(cloud | theta) * exp(log_z), under which theta has density
    prior(theta) * p(rows 0 to last | theta).
    """

    prior: Distribution
    inner: InnerFilter
    proposal: Proposal
    last: Int[Array, ""]

    def __call__(self, key: PRNGKeyArray, x: Parameters) -> tuple[Parameters, ParticleMetropolisInfo]:
        """One proposal of parameters with a filter of its own, accepted or not."""
        propose_key, run_key, accept_key = jax.random.split(key, 3)
        theta = self.proposal.sample(propose_key, x.theta)
        cloud, status = self.inner.run(run_key, theta, self.last)
        y, log_prior = Parameters(theta, cloud), self.prior.log_density(theta)
        log_ratio = log_accept_ratio(
            self.prior.log_density(x.theta) + x.filter.log_z,
            log_prior + y.filter.log_z,
            self.proposal.log_ratio(x.theta, theta),
        )
        accepted = flip(accept_key, log_ratio)
        # Outside the prior's support a model need not be defined.
        status = jnp.where(log_prior == -jnp.inf, jnp.int32(Status.OK), status)
        return select(accepted, y, x), ParticleMetropolisInfo(accepted, log_ratio, status)

    @property
    def invariant(self) -> Measure:
        """Prior times the evidence of the data so far."""
        return as_measure(self.prior) * Evidence(self.inner, self.last)


class SquaredInfo(NamedTuple):
    """`log_increment`: each lane's estimate of log p(row | rows before, theta); `status`: INVALID where the model gave
    NaN or +inf in the filter of a lane that has weight."""

    status: Int[Array, ""]
    log_increment: Float[Array, " N"]


class Begin(Sampler):
    """Gives each theta an inner filter that has read the first row.

    Law: m -> m * p(row 0 | theta) (PROPER).
    """

    inner: InnerFilter

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, SquaredInfo]:
        """One filter a lane, weighed by its estimate."""
        check_key(key)
        filters, statuses = jax.vmap(self.inner.start)(jax.random.split(key, cloud.n), cloud.values)
        log_z = jax.vmap(_log_z)(filters)
        weighed = cloud.replace(values=Parameters(cloud.values, filters), log_weights=add_log(cloud.log_weights, log_z))
        return weighed, SquaredInfo(_worst_alive(statuses, cloud), log_z)

    def meaning(self, m: Measure) -> Measure:
        """The product with the evidence of the first row."""
        return (m * Evidence(self.inner, jnp.int32(0))).claiming(Guarantee.PROPER)


class Advance(Sampler):
    """Lets each inner filter read one more row.

    Law: m -> m * p(row | rows before, theta) (PROPER), the weight being the ratio of the filter's estimates.
    """

    inner: InnerFilter
    row: Row

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, SquaredInfo]:
        """One step of each filter, weighed by its incremental estimate."""
        check_key(key)
        keys, (theta, before) = jax.random.split(key, cloud.n), cloud.values
        after, statuses = jax.vmap(lambda k, x, f: self.inner.advance(k, x, f, self.row))(keys, theta, before)
        status = _worst_alive(statuses, cloud)
        log_before, log_after = jax.vmap(_log_z)(before), jax.vmap(_log_z)(after)
        # A filter that is dead already says nothing about this row, and its lane has no weight to change.
        log_increment = jnp.where(log_before > -jnp.inf, log_after - log_before, -jnp.inf)
        log_weights = add_log(cloud.log_weights, log_increment)
        cloud = cloud.replace(values=Parameters(theta, after), log_weights=log_weights)
        return cloud, SquaredInfo(status, log_increment)

    def meaning(self, m: Measure) -> Measure:
        """The evidence of the rows so far in place of that of the rows before."""
        t = jnp.asarray(self.row.t)
        return (m * Evidence(self.inner, t) / Evidence(self.inner, t - 1)).claiming(Guarantee.PROPER)


class RejuvenateInfo(NamedTuple):
    """`status`: INVALID where the model gave NaN or +inf at parameters that were proposed."""

    status: Int[Array, ""]


class Rejuvenate(Sampler):
    """Moves each lane on the data so far, before every `every`-th row.

    Law: m -> m, if m is the prior times the evidence of the rows so far (EXACT).
    """

    kernel: MarginalMove
    every: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, RejuvenateInfo]:
        """One transition per lane, or none."""
        check_key(key)
        keys = jax.random.split(key, cloud.n)

        def move(values: Parameters) -> tuple[Parameters, Array]:
            values, info = jax.vmap(self.kernel)(keys, values)
            return values, _worst_alive(info.status, cloud)

        stay = lambda values: (values, jnp.int32(Status.OK))  # noqa: E731
        due = (self.kernel.last + 1) % self.every == 0
        values, status = jax.lax.cond(due, move, stay, cloud.values)
        return cloud.replace(values=values), RejuvenateInfo(status)

    def meaning(self, m: Measure) -> Measure:
        """The same measure.

        Raises: MeaningError where the kernel keeps another one.
        """
        if not m.same_law(self.kernel.invariant):
            raise MeaningError(
                f"the kernel keeps '{self.kernel.invariant.name}', but the cloud means '{m.name}': move on the rows "
                "read so far"
            )
        return m


class SquaredStage(eqx.Module):
    """One row: resample the parameters, move them on the rows so far, read the row."""

    prior: Distribution
    inner: InnerFilter
    proposal: Proposal
    resample: Sampler
    every: int = eqx.field(static=True)

    def __call__(self, row: Row) -> Sampler:
        """The stage for this row."""
        kernel = MarginalMove(self.prior, self.inner, self.proposal, jnp.asarray(row.t - 1))
        return self.resample >> Rejuvenate(kernel, self.every) >> Advance(self.inner, row)


def smc_squared(
    prior: Any,
    model: Callable[[Any], StateSpaceModel],
    rows: Row,
    proposal: Proposal,
    n: int,
    *,
    every: int = 1,
    resample: Sampler = _ON_DEMAND,
    inner_resample: Sampler = _SYSTEMATIC,
) -> Sampler:
    """Estimates parameters and evidence of a state-space model, row by row, with n inner particles a lane.

    A value is `Parameters(theta, filter)`. `model` maps parameters to a model; make it a Module. `proposal` moves the
    parameters before every `every`-th row, which costs a filter run over the rows so far; all of it is one program,
    compiled once.

    Law: m -> m * prior(theta) * p(rows | theta) (PROPER).

    Raises: ValueError for no rows, fewer than one inner particle, or `every` below one.
    """
    if not is_count(n) or not is_count(every):
        raise ValueError(f"smc_squared needs n >= 1 inner particles and every >= 1, got n={n} and every={every}")
    _, later = split_rows(rows, "smc_squared")
    prior, inner = as_distribution(prior), InnerFilter(model, rows, inner_resample, n)
    start = Draw(prior) >> Begin(inner)
    if later is None:
        return start
    return start >> Scan(SquaredStage(prior, inner, proposal, resample, every), later, started=True)


def _worst_alive(statuses: Int[Array, " N"], cloud: Particles) -> Int[Array, ""]:
    """The worst status of a lane that has weight."""
    return jnp.max(jnp.where(cloud.log_weights > -jnp.inf, statuses, Status.OK)).astype(jnp.int32)


def _log_z(cloud: Particles) -> Float[Array, ""]:
    return cloud.log_z
