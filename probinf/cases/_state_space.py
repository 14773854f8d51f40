"""Filters, smoothers and particle kernels on a state-space model of two states, and the same with one wrong line."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Draw, Factor, Map, Measure, Particles, Resample, Reweight, Sampler, Scan
from probinf.distributions import (
    Categorical,
    FiniteDynamics,
    FiniteStateModel,
    LinearGaussianModel,
    Pair,
    Row,
    StateSpaceModel,
    Trajectory,
)
from probinf.kernels import FiniteProposal
from probinf.resampling import Killing, Multinomial, Systematic, ess_below
from probinf.samplers import (
    BackwardSimulation,
    GuidedStage,
    ParticleGibbs,
    auxiliary_filter,
    backward_simulation,
    bootstrap_filter,
    guided_filter,
    particle_gibbs,
    smc_squared,
)
from probinf.samplers._bootstrap_filter import FilterStage, split_rows
from probinf.samplers._guided_filter import Remember
from probinf.samplers._smc_squared import Advance, MarginalMove, Rejuvenate, SquaredStage
from probinf.validity import FiniteMeasure, KernelCase, SamplerCase
from probinf.validity._program import promote

_SCHEMES = {
    "multinomial": Multinomial(),
    "systematic": Systematic(),
    "killing": Killing(),
}
_STEPS = 3
_THETAS = (np.int32(0), np.int32(1))
_PRIOR = np.log([0.4, 0.6])
_LOOK_AHEAD = np.log([[0.5, 0.2], [0.3, 0.9]])
_RESAMPLE = Resample(Multinomial())


def state_space_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """What is shipped."""
    return (*_filter_cases(), *_smoother_cases(), *_kernel_cases(), *_squared_cases())


def _filter_cases() -> tuple[SamplerCase, ...]:
    model, rows = small_model(), small_rows()
    law = (model.initial(), model.transition, model.observation)
    ahead = {"look_ahead": LookAhead(), "resample": _RESAMPLE}
    guided = lambda **knobs: guided_filter(model, small_proposal(), rows, **knobs) >> Map(_now)  # noqa: E731
    gaussian, gaussian_rows = _gaussian()
    optimal = guided_filter(gaussian, gaussian.optimal_proposal(), gaussian_rows, look_ahead=gaussian.look_ahead)
    return (
        SamplerCase("bootstrap_filter of current states", bootstrap_filter(*law, rows), target=final_states()),
        SamplerCase("guided_filter", guided(), target=final_states()),
        SamplerCase("guided_filter that looks ahead", guided(**ahead), target=final_states()),
        SamplerCase("guided_filter, Gaussian", optimal, n=8, expectations=(_moments, _gaussian_moments())),
        SamplerCase("auxiliary_filter", auxiliary_filter(*law, LookAhead(), rows), target=final_states()),
        SamplerCase(
            "auxiliary_filter, ess",
            auxiliary_filter(*law, LookAhead(), rows, resample=Resample(Multinomial(), ess=0.8)),
            target=final_states(),
        ),
    )


def _smoother_cases() -> tuple[SamplerCase, ...]:
    model, rows = small_model(), small_rows()
    smooth = lambda draws, resample: backward_simulation(model, rows, draws, resample=resample)  # noqa: E731
    every = [
        SamplerCase(f"backward_simulation({name})", smooth(1, Resample(scheme)), target=trajectories())
        for name, scheme in _SCHEMES.items()
    ]
    two = small_rows(2)
    return (
        *every,
        SamplerCase("backward_simulation, ess, 2 trajectories", smooth(2, Resample(ess=0.8)), target=trajectories()),
        SamplerCase(
            "backward_simulation, guided",
            backward_simulation(model, two, 1, proposal=small_proposal()),
            target=trajectories(2),
        ),
    )


def _kernel_cases() -> tuple[KernelCase, ...]:
    model, rows = small_model(), small_rows()
    return (
        *(gibbs_case(f"particle_gibbs({n})", particle_gibbs(model, rows, 2, scheme=s)) for n, s in _SCHEMES.items()),
        gibbs_case("particle_gibbs, ancestor sampling", particle_gibbs(model, rows, 2, ancestor_sampling=True)),
    )


def _squared_cases() -> tuple[SamplerCase, ...]:
    outer, rows = _RESAMPLE, small_rows(2)
    run = lambda n, **knobs: smc_squared(*_parameters(rows), n, **knobs) >> Map(_theta)  # noqa: E731
    return (
        SamplerCase("smc_squared, 2 x 1", run(1, resample=outer), target=parameters()),
        SamplerCase("smc_squared, 1 x 2", run(2, inner_resample=outer), n=1, target=parameters()),
    )


def state_space_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """What is wrong on purpose."""
    model, rows, two = small_model(), small_rows(), small_rows(2)
    first, later = split_rows(rows, "bugs")
    start = Draw(model.initial()) >> Reweight(model.observation(first))
    proposed = small_proposal().initial(first)
    guided_start = Draw(proposed) >> Reweight(model.initial() * model.observation(first) / proposed) >> Remember()
    guided = guided_start >> Scan(ForgetsProposal(model, small_proposal(), None, _RESAMPLE), later) >> Map(_now)
    stage = FilterStage(model.transition, model.observation, _RESAMPLE)
    kernel = lambda kind: kind(model, rows, Multinomial(), 2, True)  # noqa: E731
    forward = backward_simulation(model, rows, 1, resample=_RESAMPLE).forward
    squared = lambda stage: _squared(stage, two)  # noqa: E731
    return (
        gibbs_case("ancestor sampling without transition density", kernel(PastByWeight)),
        gibbs_case("ancestor sampling with the weight of the next step", kernel(PastByNextWeight)),
        SamplerCase("guided filter without its proposal's density", guided, target=final_states()),
        SamplerCase(
            "auxiliary filter that keeps its look-ahead",
            start >> Scan(KeepsLookAhead(model), later),
            target=final_states(),
        ),
        SamplerCase(
            "backward simulation by filter weights", ByWeightOnly(model, rows, forward, 1), target=trajectories()
        ),
        SamplerCase(
            "backward simulation with weights of the wrong step",
            ByWrongWeight(model, rows, forward, 1),
            target=trajectories(),
        ),
        SamplerCase(
            "filter without its first weight", Draw(model.initial()) >> Scan(stage, later), target=final_states()
        ),
        SamplerCase("SMC squared that moves on all data", squared(MovesOnAllData), n=1, target=parameters()),
        SamplerCase("SMC squared without incremental evidence", squared(ForgetsIncrement), n=1, target=parameters()),
        SamplerCase("SMC squared that moves only where it resampled", squared(MovesOnDemand), target=parameters()),
    )


class PastByWeight(ParticleGibbs):
    """Ancestor sampling that forgets the transition density."""

    def log_past(self, states: Any, log_w: Float[Array, " N"], held: Any, row: Row) -> Float[Array, " N"]:
        """The weight alone."""
        return log_w


class PastByNextWeight(ParticleGibbs):
    """Ancestor sampling that weighs the past by the observation to come."""

    def log_past(self, states: Any, log_w: Float[Array, " N"], held: Any, row: Row) -> Float[Array, " N"]:
        """The transition density with the weight of the wrong step."""
        return super().log_past(states, self._log_observation(states, row)[0], held, row)


class ForgetsProposal(GuidedStage):
    """A guided filter whose weight leaves out the density of the proposal."""

    def __call__(self, row: Row) -> Sampler:
        """The stage, weighed by the model only."""
        weight = self.model.transition(row) * self.model.observation(row)
        return self.resample >> Draw(self.proposal.transition(row)) >> Reweight(weight)


class KeepsLookAhead(eqx.Module):
    """An auxiliary filter that multiplies the look-ahead into the weights and never divides it out."""

    model: StateSpaceModel

    def __call__(self, row: Row) -> Sampler:
        """The stage, with a weight in place of a twist."""
        move = Draw(self.model.transition(row)) >> Reweight(self.model.observation(row))
        return Reweight(LookAhead()(row)) >> _RESAMPLE >> move


class ByWeightOnly(BackwardSimulation):
    """Backward draws by the filter's weights, as if states did not depend on each other."""

    def _log_moves(self, cloud: Any, after: Any, row: Row) -> Float[Array, "M N"]:
        """No transition density."""
        return 0.0 * super()._log_moves(cloud, after, row)


class ByWrongWeight(BackwardSimulation):
    """Backward draws with the weights of another step."""

    def _trace(self, key: PRNGKeyArray, states: Any, log_weights: Float[Array, "past N"], ends: Any) -> Any:
        """The weights, one step late."""
        return super()._trace(key, states, jnp.roll(log_weights, 1, axis=0), ends)


class Unasked(Rejuvenate):
    """A rejuvenation that does not ask whether its kernel keeps the measure of the cloud."""

    def meaning(self, m: Measure) -> Measure:
        """The same measure, it says."""
        return m


class MovesOnAllData(SquaredStage):
    """SMC squared whose moves look at the data to come."""

    def __call__(self, row: Row) -> Sampler:
        """The stage with a kernel for the final target."""
        kernel = MarginalMove(self.prior, self.inner, self.proposal, self.inner.rows.t[-1])
        return self.resample >> Unasked(kernel, self.every) >> Advance(self.inner, row)


class Unweighted(Advance):
    """An inner step that does not weigh its lane."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """The filters advance, the weights stay."""
        after, info = super().__call__(key, cloud)
        return after.replace(log_weights=cloud.log_weights), info


class ForgetsIncrement(SquaredStage):
    """SMC squared that forgets the incremental evidence after the move."""

    def __call__(self, row: Row) -> Sampler:
        """The stage without its weight."""
        kernel = MarginalMove(self.prior, self.inner, self.proposal, row.t - 1)
        return self.resample >> Rejuvenate(kernel, self.every) >> Unweighted(self.inner, row)


class OnDemand(Sampler):
    """Resamples and moves, both only where the effective sample size is low: the move then depends on the cloud."""

    resample: Resample
    move: Rejuvenate

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Both or neither."""
        both = self.resample >> self.move
        low = ess_below(cloud.log_weights, 0.9)
        return jax.lax.cond(low, lambda c: both(key, c)[0], lambda c: c, cloud), ()

    def meaning(self, m: Measure) -> Measure:
        """The same measure, which is not so for finite clouds."""
        return self.move.meaning(self.resample.meaning(m))


class MovesOnDemand(SquaredStage):
    """SMC squared as the paper runs it, called unbiased: the moves wait for the resampling."""

    def __call__(self, row: Row) -> Sampler:
        """The stage, with resampling and moves on demand."""
        kernel = MarginalMove(self.prior, self.inner, self.proposal, row.t - 1)
        return OnDemand(_RESAMPLE, Rejuvenate(kernel, self.every)) >> Advance(self.inner, row)


def small_model() -> FiniteStateModel:
    """Two states, two symbols, nothing symmetric."""
    return FiniteStateModel(np.log([0.6, 0.4]), np.log([[0.7, 0.3], [0.2, 0.8]]), np.log([[0.9, 0.1], [0.35, 0.65]]))


def small_rows(steps: int = _STEPS) -> Row:
    """What was seen."""
    return small_model().rows(jnp.array([0, 1, 1], jnp.int32)[:steps])


def small_proposal() -> FiniteDynamics:
    """A proposal that is not the model."""
    return FiniteDynamics(np.log([0.3, 0.7]), np.log([[0.5, 0.5], [0.4, 0.6]]))


def trajectories(steps: int = _STEPS) -> FiniteMeasure:
    """The joint law of all trajectories with what was seen, written out: no sampler's law is used."""
    return _trajectories(steps, str(jnp.zeros(()).dtype))


@functools.cache
def _trajectories(steps: int, precision: str) -> FiniteMeasure:
    # The model's tables have the precision in force when it is built: one result for each.
    del precision
    states, joint = (
        np.array(list(itertools.product([0, 1], repeat=steps)), np.int32),
        small_model().joint(small_rows(steps)),
    )
    with jax.enable_x64(True):
        joint = promote(joint)
        log_mass = joint.log_density_lanes(Trajectory(jnp.asarray(states)), len(states))
    return FiniteMeasure(Trajectory(states), np.asarray(log_mass))


def final_states() -> FiniteMeasure:
    """Its marginal at the last time."""
    paths = trajectories()
    return FiniteMeasure(paths.values.states[:, -1], paths.log_mass).merged()


def gibbs_case(name: str, kernel: ParticleGibbs) -> KernelCase:
    """A case for a kernel on trajectories of the small model."""
    paths = trajectories()
    return KernelCase(name, kernel, paths.values, paths.log_mass)


class LookAhead(eqx.Module):
    """Any positive function of the state before a row."""

    def __call__(self, row: Row) -> Factor:
        """The factor for this row."""
        return Ahead(jnp.asarray(_LOOK_AHEAD), row.y)


class Ahead(Factor):
    """An entry of a table."""

    log_table: Float[Array, "S Y"]
    y: Int[Array, ""]
    name: str = eqx.field(static=True, default="ahead")

    def log_density(self, x: Any) -> Float[Array, ""]:
        """The entry."""
        return self.log_table[_now(x), self.y]


class ModelAt(eqx.Module):
    """The small model at one of two parameters."""

    model: FiniteStateModel

    def __call__(self, theta: Int[Array, ""]) -> FiniteStateModel:
        """The model there."""
        tilt = jnp.array([0.0, 1.1])[theta]
        return eqx.tree_at(lambda m: m.log_transition_table, self.model, self.model.log_transition_table * (1 - tilt))


def parameters() -> FiniteMeasure:
    """Prior times likelihood of two rows at each parameter, summed over all trajectories."""
    prior, model, rows, _ = _parameters(small_rows(2))
    states = Trajectory(jnp.array(list(itertools.product([0, 1], repeat=2)), jnp.int32))
    with jax.enable_x64(True):
        # Tables in the precision of the sampler's, sums in float64.
        prior, model = promote(prior), promote(model)
        joints = [
            prior.log_density(jnp.int32(theta)) + model(jnp.int32(theta)).joint(rows).log_density_lanes(states, 4)
            for theta in _THETAS
        ]
        log_mass = [float(jax.nn.logsumexp(joint)) for joint in joints]
    return FiniteMeasure(np.array(_THETAS), np.array(log_mass))


def _parameters(rows: Row) -> tuple[Any, ModelAt, Row, FiniteProposal]:
    return Categorical(_PRIOR, name="prior"), ModelAt(small_model()), rows, _walk()


def _walk() -> FiniteProposal:
    return FiniteProposal(np.log([[0.4, 0.6], [0.7, 0.3]]))


def _squared(stage: Callable[..., Any], rows: Row) -> Sampler:
    """SMC squared with another stage."""
    right = smc_squared(*_parameters(rows), 1, resample=_RESAMPLE)
    scan: Any = right.stages[-1]  # pyright: ignore[reportAttributeAccessIssue]
    wrong = stage(*(getattr(scan.stage, name) for name in ("prior", "inner", "proposal", "resample", "every")))
    return eqx.tree_at(lambda s: s.stages[-1].stage, right, wrong) >> Map(_theta)


def _theta(x: Any) -> Int[Array, ""]:
    return x.theta


def _now(x: Any) -> Any:
    return x.now if isinstance(x, Pair) else x


def _gaussian() -> tuple[LinearGaussianModel, Row]:
    one = np.ones((1, 1))
    model = LinearGaussianModel(np.zeros(1), one, 0.8 * one, 0.6 * one, one, 0.7 * one)
    return model, model.rows(jnp.array([[0.4], [-0.2], [0.9]]))


def _moments(x: Pair) -> Float[Array, " K"]:
    return jnp.stack([jnp.ones_like(x.now[0]), x.now[0], x.now[0] ** 2])


def _gaussian_moments() -> Float[np.ndarray, " K"]:
    """Evidence, and evidence times the last state's first two moments, by the Kalman filter."""
    model, rows = _gaussian()
    exact = model.kalman(rows)
    mean, variance = np.asarray(exact.means[-1, 0]), np.asarray(exact.covariances[-1, 0, 0])
    return np.exp(np.asarray(exact.log_likelihood)) * np.array([1.0, mean, variance + mean**2])
