"""Wrong resamplers: each claims that it keeps the measure."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import flip
from probinf._measure import Density, Measure
from probinf._particles import Particles
from probinf._primitives import Draw, Resample, Reweight, Scan, Twist
from probinf._sampler import Chain, Info, Sampler
from probinf.distributions import HiddenMarkovModel, Observation
from probinf.resampling import Multinomial, Scheme
from probinf.validity._report import SamplerCase
from probinf.validity.planted._model import observations, small_filter, small_hmm, small_paths


class KeepsWeights(Resample):
    """Survivors keep their old weights, so that every weight counts twice."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Resamples, then weighs again."""
        after, info = super()._apply(key, cloud, **how)
        return after.replace(log_weights=jnp.take(cloud.log_weights, info.ancestors)), info


class ForgetsEvidence(Resample):
    """The mass of the weights is lost instead of being banked."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Resamples, then drops the evidence."""
        after, info = super()._apply(key, cloud, **how)
        return after.replace(log_evidence=cloud.log_evidence), info


class CountsOneTooMany(Resample):
    """The mean weight divides by N + 1."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Resamples, with the wrong mean."""
        after, info = super()._apply(key, cloud, **how)
        return after.replace(log_evidence=after.log_evidence + jnp.log(cloud.n / (cloud.n + 1))), info


class BreaksGenealogy(Resample):
    """Only the latest state moves with its ancestor; the path behind it stays in the lane it was in."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Resamples, then puts the past back."""
        after, info = super()._apply(key, cloud, **how)
        latest = jnp.arange(cloud.values.states.shape[1])[None, :] == cloud.values.t[:, None] - 1
        states = jnp.where(latest, after.values.states, cloud.values.states)
        return after.replace(values=after.values._replace(states=states)), info


class ForgetsWithoutResampling(Resample):
    """Weights are reset at every step, also where the effective sample size is high and nothing was resampled."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Resamples now and then, forgets always."""
        after, info = super()._apply(key, cloud, **how)
        forgotten = after.replace(log_weights=jnp.zeros_like(after.log_weights), log_evidence=after.log_z)
        return forgotten, info


class KeepsTwist(Resample):
    """The twist chooses the survivors but is not divided out of their weights."""

    def _apply(self, key: PRNGKeyArray, cloud: Particles, **how: bool) -> tuple[Particles, Info]:
        """Resamples, then forgets what was lent."""
        after, info = super()._apply(key, cloud, **how)
        return after.replace(log_weights=after.log_weights + after.log_twist), info


class ShortGrid(Scheme):
    """Systematic resampling whose grid is one particle short, so that the last particle is seldom chosen."""

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """Ancestors on the points (i + u) / (N + 1); the coin u is a fair flip for once."""
        n = log_weights.shape[0]
        cdf = jnp.cumsum(jax.nn.softmax(log_weights))
        u = jnp.where(flip(key, jnp.log(0.5)), 0.25, 0.75)
        points = (jnp.arange(n) + u) / (n + 1)
        return jnp.minimum(jnp.sum(points[:, None] > cdf[None, :], axis=1), n - 1).astype(jnp.int32)

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The same, with slot 0 overwritten."""
        return self(key, log_weights).at[0].set(0)


class BestHalf(Scheme):
    """Keeps the best half of the lanes twice: beam search, which claims to be resampling."""

    def __call__(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The best lanes, twice."""
        del key
        n = log_weights.shape[0]
        return jnp.repeat(jnp.argsort(-log_weights)[: -(-n // 2)], 2)[:n].astype(jnp.int32)

    def conditional(self, key: PRNGKeyArray, log_weights: Float[Array, " N"]) -> Int[Array, " N"]:
        """The same, with slot 0 overwritten."""
        return self(key, log_weights).at[0].set(0)


class SharedKeyStage(eqx.Module):
    """One step of the filter that resamples and propagates with one and the same key."""

    hmm: HiddenMarkovModel

    def __call__(self, row: Observation) -> Sampler:
        """The stage at one time."""
        return SharedKey((Resample(Multinomial()), Draw(self.hmm.step(row)), Reweight(self.hmm.emission(row))))


class SharedKey(Chain):
    """A composition that forgets to split its key."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, tuple[Info, ...]]:
        """Runs every stage with the same key."""
        infos = []
        for stage in self.stages:
            cloud, info = stage(key, cloud)
            infos.append(info)
        return cloud, tuple(infos)

    consume = __call__

    def meaning(self, m: Measure) -> Measure:
        """What it would mean, had the key been split."""
        return Chain(self.stages).meaning(m)


class LateEmissionStage(eqx.Module):
    """One step of the filter that weighs by the symbol seen one step before."""

    hmm: HiddenMarkovModel

    def __call__(self, rows: tuple[Observation, Observation]) -> Sampler:
        """The stage at one time."""
        now, before = rows
        late = Observation(now.t, before.y)
        return Resample(Multinomial()) >> Draw(self.hmm.step(now)) >> Reweight(self.hmm.emission(late))


def _twisted(resample: Sampler) -> Sampler:
    """A filter of two steps that looks ahead to the second symbol before it resamples."""
    hmm, rows = small_hmm(2), observations(2)
    first, second = (Observation(rows.t[i], rows.y[i]) for i in (0, 1))
    ahead = Twist(Density("look ahead", _look_ahead))
    return (
        Draw(hmm.initial())
        >> Reweight(hmm.emission(first))
        >> ahead
        >> resample
        >> Draw(hmm.step(second))
        >> Reweight(hmm.emission(second))
    )


def _look_ahead(path: Any) -> Float[Array, ""]:
    return jnp.where(path.states[0] == 1, 0.7, -0.2)


def resampling_bugs() -> tuple[SamplerCase, ...]:
    """Filters with one wrong resampler each."""
    hmm, rows, draw, paths = small_hmm(), observations(), Multinomial(), small_paths()
    first = Observation(rows.t[0], rows.y[0])
    start = Draw(hmm.initial()) >> Reweight(hmm.emission(first))
    later = jax.tree.map(lambda leaf: leaf[1:], rows)
    before = jax.tree.map(lambda leaf: leaf[:-1], rows)
    return (
        SamplerCase("weights kept after resampling", small_filter(KeepsWeights(draw)), target=paths),
        SamplerCase("evidence forgotten at resampling", small_filter(ForgetsEvidence(draw)), target=paths),
        SamplerCase("mean weight over N + 1", small_filter(CountsOneTooMany(draw)), target=paths),
        SamplerCase("path does not follow its ancestor", small_filter(BreaksGenealogy(draw)), target=paths),
        SamplerCase(
            "weights reset without resampling", small_filter(ForgetsWithoutResampling(draw, ess=0.75)), target=paths
        ),
        SamplerCase("systematic grid one particle short", small_filter(Resample(ShortGrid())), target=paths),
        SamplerCase("beam search called resampling", small_filter(Resample(BestHalf())), target=paths),
        SamplerCase("twist not divided out", _twisted(KeepsTwist(draw))),
        SamplerCase("one key for two draws", start >> Scan(SharedKeyStage(hmm), later), target=paths),
        SamplerCase(
            "emission of the step before",
            start >> Scan(LateEmissionStage(hmm), (later, before)),
            target=paths,
        ),
    )
