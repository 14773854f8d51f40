"""Wrong tempering, one wrong line each: in the swap, in the chains, in the rows, in the weights, in the ladder."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import Chain, Kernel, Measure, Move, Particles, Reweight, Sampler, Scan
from probinf.cases._tempering_models import (
    DATA,
    LADDER,
    Row,
    ladder_case,
    moments,
    sharp_adaptive,
    sharp_frozen,
    sharp_moments,
    small_keeper,
    small_ladder,
    small_likelihood,
    small_prior,
)
from probinf.resampling import effective_sample_size
from probinf.samplers import (
    AdaptiveTempering,
    RowStage,
    Rung,
    SwapNeighbors,
    TemperStage,
    Thin,
    Trail,
    TunedHMC,
    TunedSettings,
    WasteFreeStage,
    resample_move,
    tempered_smc,
    waste_free_smc,
)
from probinf.samplers._adaptive_tempered_smc import next_temperature
from probinf.samplers._tuned_hmc import ScaledHMC, TunedMove
from probinf.validity import Contract, KernelCase, SamplerCase


class FlippedSwap(SwapNeighbors):
    """The sign of the log-ratio is flipped."""

    def log_ratio(self, log_likelihood: Float[Array, " temperatures"]) -> Float[Array, " pairs"]:
        """Cold states go up, hot ones down."""
        return -super().log_ratio(log_likelihood)


class CertainSwap(SwapNeighbors):
    """Every swap is accepted."""

    def log_ratio(self, log_likelihood: Float[Array, " temperatures"]) -> Float[Array, " pairs"]:
        """Certain."""
        return jnp.zeros_like(super().log_ratio(log_likelihood))


class PriorTwiceSwap(SwapNeighbors):
    """The whole posterior is tempered in the ratio, though only the likelihood is in the target."""

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Any]:
        """A swap by the likelihood times the prior."""
        tempered = self.tempered
        whole = SwapNeighbors(type(tempered)(tempered.prior, tempered.prior * tempered.likelihood, tempered.betas), 0)
        return whole(key, x)


class HalfTrail(Trail):
    """Only the last state of each chain keeps its weight."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """A trail whose first states are dead."""
        after, info = super().__call__(key, cloud)
        last = jnp.arange(after.n) % self.length == self.length - 1
        return after.replace(log_weights=jnp.where(last, after.log_weights, -jnp.inf)), info


class FirstSlots(Thin):
    """The first M slots of a resampling are taken, though its slots are sorted by lane."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """The head of the cloud."""
        _, info = super().__call__(key, cloud)
        head = jax.tree.map(lambda leaf: leaf[: cloud.n // self.every], (cloud.values, cloud.log_weights))
        return cloud.replace(values=head[0], log_weights=head[1], log_twist=jnp.zeros_like(head[1])), info


class PerChain(Thin):
    """The weights of N particles are summed, and divided by the number of chains."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Evidence too large by P at each rung."""
        after, info = super().__call__(key, cloud)
        return after.replace(log_evidence=after.log_evidence + jnp.log(self.every)), info


class Claims(Kernel):
    """A kernel that says it keeps what it does not: symbolic checks believe it."""

    kernel: Kernel
    claimed: Measure

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, Any]:
        """The kernel."""
        return self.kernel(key, x)

    @property
    def invariant(self) -> Measure:
        """The claim."""
        return self.claimed


class LooksAhead(RowStage):
    """The kernel keeps the posterior of one row more than was seen."""

    def __call__(self, t: Int[Array, ""]) -> Sampler:
        """Row t, moved towards row t + 1."""
        observe, resample, move = super().__call__(t).stages  # pyright: ignore[reportAttributeAccessIssue]
        ahead = self.make_kernel(self.prior * self.so_far(t + 2))
        return observe >> resample >> Move(Claims(ahead, move.kernel.invariant))


class LateWeights(TemperStage):
    """Lanes move to the new temperature first, and are weighed by the increment where they arrive."""

    def __call__(self, rung: Rung) -> Sampler:
        """Move, weigh, resample."""
        increment, resample, move = super().__call__(rung).stages  # pyright: ignore[reportAttributeAccessIssue]
        before = self.prior * self.likelihood**rung.before
        return Move(Claims(move.kernel, before)) >> increment >> resample


class StepByPlace(ScaledHMC):
    """A lane far out takes longer steps, as if tuned for where it stands; the way back is shorter."""

    def __call__(self, key: PRNGKeyArray, x: Float[Array, ""]) -> tuple[Float[Array, ""], Any]:
        """One trajectory with the step size of the start."""
        longer = self.settings._replace(step_size=self.settings.step_size * jnp.exp(3.0 * x))
        return ScaledHMC(self.target, longer, self.steps)(key, x)


class MovesByPlace(TunedMove):
    """Moves with a step size for each lane."""

    def _transition(self, key: PRNGKeyArray, values: Any, n: int, settings: TunedSettings) -> tuple[Any, Any]:
        return StepByPlace(self.target, settings, self.tuner.steps).move_lanes(key, values, n)


class TunesByPlace(TunedHMC):
    """A tuner whose settings are stretched by where a lane stands."""

    def move(self, target: Measure, settings: TunedSettings | tuple[()] = ()) -> TunedMove:
        """The moves at one temperature."""
        return MovesByPlace(target, self, settings)


class IgnoresWeights(AdaptiveTempering):
    """The temperature is solved for as if the weights were equal, and before the cloud is resampled and moved, as in
    BlackJAX 1.7.1."""

    def rung(self, key: PRNGKeyArray, cloud: Particles, beta: Float[Array, ""]) -> tuple[tuple, tuple]:
        """Resample, move at the old temperature, weigh for the next."""
        log_likelihood = self.stage.likelihood.log_density_lanes(cloud.values, cloud.n)
        after = next_temperature(log_likelihood, jnp.zeros_like(log_likelihood), beta, self.ess)
        make_kernel: Any = self.stage.make_kernel
        kernel = make_kernel(self.stage.prior * self.stage.likelihood**beta)
        moved = (
            self.stage.resample >> Move(kernel, self.stage.moves) >> Reweight(self.stage.likelihood ** (after - beta))
        )
        cloud, info = moved(key, cloud)
        ess = effective_sample_size(cloud.log_weights) / cloud.n
        return (cloud, after), (ess, info[-1].status, info[1])


class StopsEarly(AdaptiveTempering):
    """No temperature is above 0.9."""

    def rung(self, key: PRNGKeyArray, cloud: Particles, beta: Float[Array, ""]) -> tuple[tuple, tuple]:
        """A rung of at most 0.9."""
        log_likelihood = self.stage.likelihood.log_density_lanes(cloud.values, cloud.n)
        after = jnp.minimum(next_temperature(log_likelihood, cloud.log_weights, beta, self.ess), 0.9)
        cloud, (_, resampled, moved) = self.stage(Rung(beta, after))(key, cloud)
        return (cloud, after), (resampled.ess[0] / cloud.n, moved.status, moved)


def tempering_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """What is wrong on purpose."""
    tempered = small_ladder().tempered
    draw, climb = sharp_adaptive().stages  # pyright: ignore[reportAttributeAccessIssue]
    climbing = {"expectations": (moments, sharp_moments()), "contract": Contract(0.5)}
    return (
        ladder_case("swap with the sign of its ratio flipped", FlippedSwap(tempered, 0)),
        ladder_case("swap that always accepts", CertainSwap(tempered, 0)),
        ladder_case("swap that tempers the prior too", PriorTwiceSwap(tempered, 0)),
        SamplerCase("waste-free that weighs the ends of chains only", _waste_free(HalfTrail, (1.0,)), n=4),
        SamplerCase("waste-free that keeps the first slots", _waste_free(FirstSlots), n=4),
        SamplerCase("waste-free with the evidence per chain", _waste_free(PerChain, (1.0,)), n=4),
        SamplerCase("resample-move that looks a row ahead", _with_stage(_rows(), LooksAhead)),
        SamplerCase("tempered weights taken after the move", _with_stage(_tempered(), LateWeights)),
        SamplerCase("adaptive temperatures as if weights were equal", draw >> _as(climb, IgnoresWeights), **climbing),
        SamplerCase("adaptive temperatures that stop early", draw >> _as(climb, StopsEarly), **climbing),
        SamplerCase(
            "tuned HMC with a step size for where a lane stands",
            sharp_frozen(TunesByPlace(steps=3)),
            n=16,
            expectations=(moments, sharp_moments()),
        ),
    )


def _rows() -> Sampler:
    return resample_move(small_prior(), Row, DATA, small_keeper)


def _tempered() -> Sampler:
    return tempered_smc(small_prior(), small_likelihood(), small_keeper, LADDER)


def _as(module: Any, kind: type) -> Any:
    """The same fields under another type."""
    return kind(**{name: getattr(module, name) for name in module.__dataclass_fields__})


def _with_stage(sampler: Any, kind: type) -> Sampler:
    """A published sampler, Draw >> Scan, whose stage is of another type."""
    draw, scan = sampler.stages
    return draw >> Scan(_as(scan.stage, kind), scan.xs)


def _waste_free(kind: type, betas: tuple[float, ...] = LADDER) -> Sampler:
    sampler: Any = waste_free_smc(small_prior(), small_likelihood(), small_keeper, betas, length=2)
    draw, scan = sampler.stages
    fields = {name: getattr(scan.stage, name) for name in scan.stage.__dataclass_fields__}
    return draw >> Scan(_OneWrong(**fields, kind=kind), scan.xs)


class _OneWrong(WasteFreeStage):
    """A rung with the part of one kind exchanged for a wrong one."""

    kind: type = eqx.field(static=True)

    def __call__(self, rung: Rung) -> Sampler:
        """The rung, its part exchanged."""
        stages = super().__call__(rung).stages  # pyright: ignore[reportAttributeAccessIssue]
        return Chain(tuple(_as(s, self.kind) if isinstance(s, self.kind.__base__ or Sampler) else s for s in stages))
