"""Sequential Monte Carlo along a ladder that it finds itself.

Law: from nothing to prior * likelihood (CONSISTENT): the temperatures look at the very particles that they weigh, so
Z-hat is biased at every finite N, and only its limit is the evidence. A second run on the ladder found is PROPER.

Source: Jasra, Stephens, Doucet and Tsagaris, Scandinavian Journal of Statistics 38 (2011) (temperatures by the
effective sample size); Beskos, Jasra, Kantas and Thiery, Annals of Applied Probability 26 (2016), arXiv 1306.6462
(consistency).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key
from probinf._measure import Guarantee, Measure, as_distribution, as_factor
from probinf._particles import Particles, add_log
from probinf._primitives import Draw, Resample
from probinf._primitives._weight import checked_log_density
from probinf._sampler import Info, Kernel, Sampler
from probinf._status import Status, status_if, worst_status
from probinf.resampling import Scheme, Systematic, effective_sample_size
from probinf.samplers._tempered_smc import Rung, TemperStage
from probinf.samplers._tuned_hmc import TunedHMC, TunedSettings

_SYSTEMATIC = Systematic()
# Halvings of the interval of temperatures: enough for a first step of 1e-6 in float32.
_HALVINGS = 44


class AdaptiveInfo(NamedTuple):
    """What the ladder became; rows from `rungs` on were not used and repeat the last temperature.

    temperatures: inverse temperature after each rung. ess: effective sample size at each rung before it resampled, as a
    fraction of N (0 where unused). kernel: what the kernel reported at the last transition of each rung. acceptance and
    distinct: as in `MoveInfo`, at each rung. settings: what `TunedHMC` found there, otherwise empty.
    """

    status: Int[Array, ""]
    rungs: Int[Array, ""]
    temperatures: Float[Array, " max_steps"]
    ess: Float[Array, " max_steps"]
    kernel: Info
    acceptance: Any = ()
    distinct: Any = ()
    settings: Any = ()


class AdaptiveTempering(Sampler):
    """Climbs from inverse temperature 0 to 1, each time as far as the effective sample size stays at `ess * N`.

    Law: m * prior -> m * prior * likelihood (CONSISTENT).

    A rung is that of `tempered_smc`; only its temperature is found, by bisection on the effective sample size of the
    weights as they are. The last temperature is exactly 1; if `max_steps` rungs do not reach it, the cloud stays at the
    temperature reached, with status BUDGET. The climb is one compiled scan, whatever the number of rungs used.

    Raises: ValueError where `ess` is not between 0 and 1, or for fewer than one rung.
    """

    stage: TemperStage
    ess: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    max_steps: int = eqx.field(static=True, default=64)

    def __check_init__(self):
        """Rejects a ladder that never climbs, or has no rung."""
        if not isinstance(self.ess, Tracer) and not 0.0 < float(self.ess) < 1.0:
            raise ValueError(f"ess is a fraction of the number of particles between 0 and 1, got {self.ess}: try 0.5")
        if not is_count(self.max_steps):
            raise ValueError(f"a ladder needs at least one rung, got max_steps={self.max_steps}")

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, AdaptiveInfo]:
        """Climbs until the likelihood is in, or the budget is spent."""
        check_key(key)
        beta = jnp.zeros((), cloud.log_weights.dtype)
        report = jax.eval_shape(self.rung, key, cloud, beta)[1]
        unused = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), report)

        def step(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, Any]:
            def climb(carry: tuple) -> tuple:
                (cloud, beta), report = self.rung(key, *carry)
                return (cloud, beta), report

            # A dead cloud climbs no further.
            going = (carry[1] < 1.0) & (carry[0].log_z > -jnp.inf)
            carry, report = jax.lax.cond(going, climb, lambda carry: (carry, unused), carry)
            return carry, (going, carry[1], *report)

        (cloud, beta), rows = jax.lax.scan(step, (cloud, beta), jax.random.split(key, self.max_steps))
        used, temperatures, ess, status, moved = rows
        unfinished = status_if((beta < 1.0) & (cloud.log_z > -jnp.inf), Status.BUDGET)
        rungs = jnp.sum(used).astype(jnp.int32)
        status = jnp.maximum(unfinished, jnp.max(status))
        settings = getattr(moved, "settings", ())
        found = (moved.kernel, moved.acceptance, moved.distinct, settings)
        return cloud, AdaptiveInfo(status, rungs, temperatures, ess, *found)

    def rung(
        self, key: PRNGKeyArray, cloud: Particles, beta: Float[Array, ""]
    ) -> tuple[tuple[Particles, Float[Array, ""]], tuple]:
        """One rung from temperature `beta`: the cloud at the next one, that temperature, and the report."""
        log_likelihood, _ = checked_log_density(self.stage.likelihood, cloud)
        after = next_temperature(log_likelihood, cloud.log_weights, beta, self.ess)
        cloud, info = self.stage(Rung(beta, after))(key, cloud)
        _, resampled, moved = info
        return (cloud, after), (resampled.ess[0] / cloud.n, worst_status(info), moved)

    def meaning(self, m: Measure) -> Measure:
        """The product m * likelihood, claimed for many particles only.

        Raises: MeaningError where the kernels do not keep the tempered measure.
        """
        # Every ladder telescopes alike, so one with a rung between shows what the kernels keep.
        for rung in (Rung(jnp.asarray(0.0), jnp.asarray(0.5)), Rung(jnp.asarray(0.5), jnp.asarray(1.0))):
            m = self.stage(rung).meaning(m)
        return m.claiming(Guarantee.CONSISTENT)

    @property
    def lanewise(self) -> bool:
        """False: lanes compete, and decide on the temperature together."""
        return False


def next_temperature(
    log_likelihood: Float[Array, " N"],
    log_weights: Float[Array, " N"],
    beta: Float[Array, ""],
    ess: Float[Array, ""],
) -> Float[Array, ""]:
    """The inverse temperature above `beta` at which the effective sample size is `ess * N`; 1 if it never falls there.

    The size is that of the weights as they are times likelihood^(increment): from equal weights it falls steadily, and
    the upper end of the last interval is returned, so the temperature rises even where the size jumps below `ess * N`
    at once (lanes of likelihood zero, or weights that are worth less than that already).
    """
    target = ess * log_weights.shape[0]

    def enough(after: Array) -> Array:
        # A lane of likelihood zero has weight zero after any increment, however small.
        increment = jnp.where(log_likelihood == -jnp.inf, -jnp.inf, (after - beta) * log_likelihood)
        return effective_sample_size(add_log(log_weights, increment)) >= target

    def halve(_: Int[Array, ""], ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        # Between neighboring floats there is no middle.
        up = enough(middle) | (middle <= beta)
        return jnp.where(up, middle, low), jnp.where(up, high, middle)

    top = jnp.ones_like(beta)
    return jnp.where(enough(top), top, jax.lax.fori_loop(0, _HALVINGS, halve, (beta, top))[1])


def adaptive_tempered_smc(
    prior: Any,
    likelihood: Any,
    make_kernel: Callable[[Measure], Kernel] | TunedHMC,
    ess: float | Float[Array, ""] = 0.5,
    *,
    moves: int = 1,
    max_steps: int = 64,
    scheme: Scheme = _SYSTEMATIC,
) -> Sampler:
    """Draws from the prior and brings the likelihood in, each step as large as the effective sample size allows.

    `make_kernel` is as in `tempered_smc`; each rung resamples and then makes `moves` transitions a lane, or as many as
    `TunedHMC` finds. The temperatures are right only while the lanes are different: copies have one likelihood, so that
    weights of a cloud of copies are equal at every temperature and the ladder jumps to 1. A kernel that hardly accepts
    leaves such a cloud; then the status is COLLAPSED, and evidence and draws are worth nothing. For an unbiased
    estimate of the evidence, run the ladder that was found once more, on fresh particles:

        pilot = sample(adaptive_tempered_smc(prior, likelihood, make_kernel), key, n)
        again = tempered_smc(prior, likelihood, make_kernel, ladder_of(pilot.info[-1]))

    and with `TunedHMC` give `tempered_smc` also `settings=settings_of(pilot.info[-1])`.

    Law: m -> m * prior * likelihood (CONSISTENT).

    Raises: ValueError where `ess` is not between 0 and 1, or for fewer than one move or rung.
    """
    prior = as_distribution(prior)
    stage = TemperStage(prior, as_factor(likelihood), make_kernel, Resample(scheme), moves)
    return Draw(prior) >> AdaptiveTempering(stage, ess, max_steps)


def ladder_of(info: AdaptiveInfo, rungs: int | None = None) -> Float[np.ndarray, " rungs"]:
    """The inverse temperatures that a run found, on the host, for `tempered_smc`.

    rungs: how many to return (those that were used by default). Further ones halve the widest steps, so that ladders of
    different runs can share one compiled program.

    Raises: ValueError where the run did not reach 1, or used more rungs than asked for.
    """
    return _filled(info, rungs)[0]


def settings_of(info: AdaptiveInfo, rungs: int | None = None) -> TunedSettings:
    """The settings that `TunedHMC` found at each temperature, on the host, for `tempered_smc(..., settings=)`.

    Args:
        info: of an adaptive run.
        rungs: as in `ladder_of`; a further rung moves as the colder end of the step that it halves.

    Returns:
        Settings with the leading axis of rungs.

    Raises:
        ValueError: as `ladder_of` does, and where the run was not tuned.
    """
    if not isinstance(info.settings, TunedSettings):
        raise ValueError("the run has no settings: give adaptive_tempered_smc a TunedHMC as make_kernel")
    rows = _filled(info, rungs)[1]
    return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], info.settings)


def _filled(info: AdaptiveInfo, rungs: int | None) -> tuple[Float[np.ndarray, " rungs"], np.ndarray]:
    """The ladder with as many rungs as asked for, and the rung of the run whose settings serve at each."""
    used = int(info.rungs)
    betas = np.concatenate([[0.0], np.asarray(info.temperatures, np.float64)[:used]])
    if betas[-1] != 1.0:
        raise ValueError(f"the run stopped at inverse temperature {betas[-1]:.3g}, not 1: raise max_steps or lower ess")
    if rungs is not None and rungs < used:
        raise ValueError(f"the run used {used} rungs, which do not fit into rungs={rungs}")
    rows = np.arange(used)
    while rungs is not None and len(betas) <= rungs:
        widest = int(np.argmax(np.diff(betas)))
        betas = np.insert(betas, widest + 1, betas[widest : widest + 2].mean())
        rows = np.insert(rows, widest, rows[widest])
    return betas[1:], rows
