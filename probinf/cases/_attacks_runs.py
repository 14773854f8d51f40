"""Attacks by few lanes and by the cloud that comes in: right for two lanes, or for a cloud of equal weights only."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import (
    Choose,
    Density,
    Draw,
    Guarantee,
    Kernel,
    Measure,
    Nested,
    Particles,
    Proportional,
    Resample,
    Reweight,
    Sampler,
    Scan,
    choice,
    flip,
    take_lanes,
)
from probinf._particles import log_mean_exp
from probinf._sampler import Info, repeated
from probinf.cases._attack import Attack
from probinf.cases._attack_model import POSTERIOR, STATES, Prior, finite, small_likelihood
from probinf.cases._tempering_models import LADDER, small_keeper
from probinf.cases._tempering_models import small_likelihood as likelihood_of_two
from probinf.cases._tempering_models import small_prior as prior_of_two
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.resampling import Multinomial, Systematic, ess_below
from probinf.samplers import Thin, WasteFreeStage, waste_free_smc
from probinf.validity import KernelCase, SamplerCase

# Of three lanes, one in the first state and two in others leave an effective sample size below 1.1.
_SHARP = (1.0, 0.02, 0.02)
_PROPOSAL = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]])


def attacks_runs() -> tuple[Attack, ...]:
    """Designs that are right for two lanes, and stages that are right for the cloud their case gives them."""
    return (
        *(Attack(case, "small n") for case in _few_lanes()),
        *(Attack(case, "stages") for case in (*_incoming(), *_in_place(), *_held())),
    )


def _few_lanes() -> tuple[SamplerCase | KernelCase, ...]:
    multinomial = Multinomial()
    return (
        SamplerCase("evidence from a trimmed mean", _weighed() >> TrimmedEvidence(multinomial)),
        SamplerCase("evidence lost at a low threshold", _sharp() >> LostEvidence(multinomial, ess=0.4)),
        SamplerCase("weights cut at twice their mean", _weighed() >> CutWeights()),
        SamplerCase("ancestors of a sorted cloud", _weighed() >> Resample(SortedSystematic())),
        SamplerCase("waste-free thinned from the first particle", _from_first()),
        SamplerCase("tournament in pairs with one lane left over", _weighed() >> PairsCompete()),
        SamplerCase("third copy of a value lost at a merge", _weighed() >> MergesCopies()),
        KernelCase("kernel with a stale density", _stale(), STATES, np.log(POSTERIOR)),
        SamplerCase("early return of a single lane", Draw(Prior()) >> WeighAndResample(small_likelihood())),
        SamplerCase("mean over a padded cloud", _weighed() >> PaddedMean(multinomial)),
    )


def _incoming() -> tuple[SamplerCase, ...]:
    even = _weighed() >> Resample(Multinomial())
    return (
        SamplerCase("weights that come in overwritten", Draw(Prior()) >> OverwritesWeights(small_likelihood())),
        SamplerCase("evidence that comes in overwritten", _weighed() >> OverwritesEvidence(Multinomial())),
        SamplerCase("twist repaid that was never lent", _weighed() >> RepaysTwist(Multinomial())),
        SamplerCase("any lane chosen as if weights were equal", even >> Choose(AnyLane())),
        SamplerCase("lane chosen by weight times twist", _weighed() >> Choose(TwistedLane())),
        SamplerCase("values rolled under their weights", even >> RollsValues()),
        SamplerCase("nested run without the outer weight", ForgetsOuterWeight(_weighed(), 2)),
    )


def _in_place() -> tuple[SamplerCase, ...]:
    drawing = DrawsAndWeighs(Prior(), small_likelihood())
    return (
        SamplerCase("evidence that starts anew in place", drawing, target=finite(POSTERIOR)),
        SamplerCase("greedy draw in place", GreedyInPlace(Prior())),
        SamplerCase("twist kept in place", _weighed() >> KeepsTwistInPlace(Multinomial())),
    )


def _held() -> tuple[SamplerCase, ...]:
    plain, weigh = Resample(Multinomial()), Reweight(small_likelihood())
    return (
        SamplerCase("reference drawn afresh", DrawsReference(Prior()) >> weigh >> plain),
        SamplerCase("reference without its weight", Draw(Prior()) >> UnweighedReference(small_likelihood()) >> plain),
        SamplerCase("lanes beside the reference exclude it", _weighed() >> Resample(OthersOnly())),
        SamplerCase(
            "resampling decided without the reference", _weighed() >> OthersDecide(Multinomial(), ess=0.8), n=3
        ),
    )


class TrimmedEvidence(Resample):
    """The evidence is the mean weight without the largest and the smallest of three or more (n = 3: error 0.09)."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Resamples, and banks a robust mean."""
        after, info = super()._apply(key, cloud, **how)
        trimmed = jnp.sort(cloud.log_weights)[1:-1] if cloud.n > 2 else cloud.log_weights
        return after.replace(log_evidence=cloud.log_evidence + log_mean_exp(trimmed)), info


class LostEvidence(Resample):
    """Mass is lost where it resamples, below an effective size of 0.4 N, which takes three lanes (error 1.2)."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Resamples seldom, and never banks."""
        after, info = super()._apply(key, cloud, **how)
        return after.replace(log_evidence=cloud.log_evidence), info


class _Keeps(Sampler):
    """A stage that claims to keep the measure."""

    def meaning(self, m: Measure) -> Measure:
        """The same measure."""
        return m.claiming(Guarantee.PROPER)

    @property
    def lanewise(self) -> bool:
        """False: lanes look at each other."""
        return False


class CutWeights(_Keeps):
    """Weights above twice their mean are cut there, which two lanes never reach (n = 3: error 0.004)."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Truncated importance weights."""
        del key
        limit = jnp.log(2.0) + log_mean_exp(cloud.log_weights)
        return cloud.replace(log_weights=jnp.minimum(cloud.log_weights, limit)), ()


class SortedSystematic(Systematic):
    """Three lanes or more are sorted by weight first, and ancestors stay places in the sorted cloud (error 0.18)."""

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The order is not undone."""
        return super().__call__(key, jnp.sort(log_weights) if log_weights.shape[0] > 2 else log_weights)


class ThinFromFirst(Thin):
    """Every P-th lane is kept from lane 0 on, never from a random first one."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Lanes 0, P, 2 P and so on."""
        del key
        kept = jax.tree.map(lambda leaf: leaf[:: self.every], (cloud.values, cloud.log_weights, cloud.log_twist))
        return cloud.replace(values=kept[0], log_weights=kept[1], log_twist=kept[2]), ()


class FirstOfChains(WasteFreeStage):
    """Waste-free SMC on thinned lanes: one chain is exchangeable and so right, two are not (n = 4: error 0.004)."""

    def __call__(self, rung: Any) -> Sampler:
        """The rung, thinned from lane 0."""
        increment, resample, _, trail = super().__call__(rung).stages  # pyright: ignore[reportAttributeAccessIssue]
        return increment >> resample >> ThinFromFirst(self.length) >> trail


class PairsCompete(_Keeps):
    """Pairs of lanes are replaced by two draws from the pair; a lane left over counts half (n = 3: a sixth lost)."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """A tournament between neighbors; each winner weighs the mean of its pair."""
        if cloud.n == 1:
            return cloud, ()
        pairs = jnp.pad(cloud.log_weights, (0, cloud.n % 2), constant_values=-jnp.inf).reshape(-1, 2)
        winners = (2 * jnp.arange(len(pairs))[:, None] + choice(key, pairs, (2,))).reshape(-1)[: cloud.n]
        means = jnp.repeat(jax.vmap(log_mean_exp)(pairs), 2)[: cloud.n]
        return cloud.replace(values=take_lanes(cloud.values, winners), log_weights=means), ()


class MergesCopies(_Keeps):
    """Each copy of a value gives its weight to the copy before it, so that the third one's is lost (n = 3: 0.035)."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """One pass over the cloud; only first copies stay alive."""
        del key
        lanes, weights = jnp.arange(cloud.n), jnp.exp(cloud.log_weights)
        earlier = (cloud.values[:, None] == cloud.values[None, :]) & (lanes[None, :] < lanes[:, None])
        copy = jnp.any(earlier, axis=1)
        before = jnp.max(jnp.where(earlier, lanes[None, :], 0), axis=1)
        gained = jnp.zeros_like(weights).at[before].add(jnp.where(copy, weights, 0.0))
        return cloud.replace(log_weights=jnp.log(jnp.where(copy, 0.0, weights + gained))), ()


class StaleDensity(MetropolisHastings):
    """Several transitions in a row compare with the density of the start: the second one is wrong, by 0.06."""

    def move_lanes(self, key: PRNGKeyArray, values: Any, n: int, times: int = 1) -> tuple[Any, Info]:
        """The density of the start is computed once, and not replaced after a move."""
        log_x = self.target.log_density_lanes(values, n)

        def transition(x: Any, key: PRNGKeyArray) -> tuple[Any, Info]:
            propose_key, accept_key = jax.random.split(key)
            y = self.proposal.sample_lanes(propose_key, x, n)
            back = jax.vmap(self.proposal.log_ratio)(x, y)
            return jnp.where(flip(accept_key, self.target.log_density_lanes(y, n) - log_x + back), y, x), ()

        return repeated(transition, key, values, times)


class WeighAndResample(Reweight):
    """A single lane has no rival, so that it returns early, without its weight (n = 1: error 1.3)."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Weighs and resamples in one stage."""
        if cloud.n == 1:
            return cloud, ()
        return (Reweight(self.potential) >> Resample(Multinomial()))(key, cloud)

    @property
    def lanewise(self) -> bool:
        """False: it resamples."""
        return False


class PaddedMean(Resample):
    """The mean weight divides by the next power of two (n = 3: a fourth lost; n = 1, 2 and 4 are right)."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Resamples, and banks a mean over lanes of padding."""
        after, info = super()._apply(key, cloud, **how)
        width = 1 << (cloud.n - 1).bit_length()
        padded = jnp.pad(cloud.log_weights, (0, width - cloud.n), constant_values=-jnp.inf)
        return after.replace(log_evidence=cloud.log_evidence + log_mean_exp(padded)), info


class OverwritesWeights(Reweight):
    """The weights that lanes came in with are replaced, not multiplied."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Right only where weights were one."""
        return super().__call__(key, cloud.replace(log_weights=jnp.zeros_like(cloud.log_weights)))


class OverwritesEvidence(Resample):
    """The mass banked before is replaced by the mean weight: right at the first resampling only."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Starts from no evidence."""
        return super()._apply(key, cloud.replace(log_evidence=jnp.zeros_like(cloud.log_evidence)), **how)


class RepaysTwist(Resample):
    """Selects by the weights alone, and still divides the twist out of the survivors."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Right only without a twist."""
        after, info = super()._apply(key, cloud.replace(log_twist=jnp.zeros_like(cloud.log_twist)), **how)
        log_twist = cloud.log_twist[info.ancestors]
        return after.replace(log_weights=after.log_weights - log_twist, log_twist=log_twist), info


class AnyLane(Proportional):
    """Takes any lane with equal chance, whatever the weights, and says that this keeps the measure."""

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """Right only after a resampling."""
        return choice(key, jnp.zeros_like(cloud.log_weights))


class TwistedLane(Proportional):
    """Chooses by weight times twist, and the lane chosen pays nothing for its twist."""

    def index(self, key: PRNGKeyArray, cloud: Particles) -> Int[Array, ""]:
        """Right only without a twist."""
        return choice(key, cloud.log_weights + cloud.log_twist)


class RollsValues(_Keeps):
    """Values move on by one lane, their weights stay."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """Right only where all weights are equal."""
        del key
        return cloud.replace(values=jax.tree.map(lambda leaf: jnp.roll(leaf, 1, axis=0), cloud.values)), ()


class ForgetsOuterWeight(Nested):
    """The inner estimate of the mass replaces the weight that the outer lane had."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Right only where outer weights were one."""
        return super().__call__(key, cloud.replace(log_weights=jnp.zeros_like(cloud.log_weights)))


class DrawsAndWeighs(Sampler):
    """Draws and weighs in one stage, which in place drops the evidence that came in."""

    prior: Prior
    likelihood: Density

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """The right way."""
        return (Draw(self.prior) >> Reweight(self.likelihood))(key, cloud)

    def consume(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        """A cloud built anew, without what was banked."""
        return self(key, cloud.replace(log_evidence=jnp.zeros_like(cloud.log_evidence)))

    def meaning(self, m: Measure) -> Measure:
        """The product."""
        return (m * self.prior * self.likelihood).claiming(Guarantee.PROPER)


class GreedyInPlace(Draw):
    """In place, which is how compositions run it, the likeliest outcome is taken instead of a draw."""

    def consume(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """The argmax in every lane."""
        after, info = super().__call__(key, cloud)
        best = jnp.argmax(self.distribution.log_density_lanes(jnp.asarray(STATES), len(STATES)))
        return after.replace(values=jnp.full_like(after.values, best)), info


class KeepsTwistInPlace(Resample):
    """In place the twist selects the survivors and is not divided out of their weights."""

    def consume(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Any]:
        """Right only without a twist."""
        after, info = super().consume(key, cloud)
        return after.replace(log_weights=after.log_weights + after.log_twist), info


class DrawsReference(Draw):
    """The conditional form draws lane 0 afresh like any other, so that the reference is not held (error 0.2)."""

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: Any) -> tuple[Particles, Any]:
        """The plain call."""
        del reference
        return self(key, cloud)


class UnweighedReference(Reweight):
    """The conditional form leaves the weight of lane 0, since its own run has weighed it (error 0.01)."""

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: Any) -> tuple[Particles, Any]:
        """Weighs all lanes but the first."""
        del reference
        after, info = self(key, cloud)
        return after.replace(log_weights=after.log_weights.at[0].set(cloud.log_weights[0])), info


class OthersOnly(Multinomial):
    """Given that the reference survives, the other slots are drawn among the other lanes (error 0.13)."""

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The reference has no second offspring."""
        return super().conditional(key, log_weights.at[0].set(-jnp.inf)).at[0].set(0)


class OthersDecide(Resample):
    """The conditional form resamples where the other lanes ask for it, not the whole cloud: error 0.02 for n = 3."""

    def conditional(self, key: PRNGKeyArray, cloud: Particles, reference: Any) -> tuple[Particles, Any]:
        """The decision depends on which lane is held."""
        low = ess_below(cloud.log_weights[1:], self.ess or 1.0)
        resampled, info = Resample(self.scheme).conditional(key, cloud, reference)
        return jax.tree.map(lambda new, old: jnp.where(low, new, old), resampled, cloud), info


def _weighed() -> Sampler:
    return Draw(Prior()) >> Reweight(small_likelihood())


def _sharp() -> Sampler:
    return Draw(Prior()) >> Reweight(Density("sharp", _log_sharp))


def _log_sharp(x: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.log(jnp.array(_SHARP))[x]


def _stale() -> Kernel:
    return StaleDensity(Prior() * small_likelihood(), FiniteProposal(_PROPOSAL))


def _from_first() -> Sampler:
    """Waste-free SMC with chains of two states."""
    right: Any = waste_free_smc(prior_of_two(), likelihood_of_two(), small_keeper, LADDER, length=2)
    draw, scan = right.stages
    stage = FirstOfChains(**{name: getattr(scan.stage, name) for name in scan.stage.__dataclass_fields__})
    return draw >> Scan(stage, scan.xs)
