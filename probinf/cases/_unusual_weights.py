"""Right samplers whose weights are unusual, lane by lane: estimated, tiny, huge, or in another precision."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf import (
    Density,
    Distribution,
    Draw,
    Factor,
    Guarantee,
    Measure,
    Move,
    Particles,
    Resample,
    Reweight,
    Sampler,
    Signed,
    choice,
    flip,
)
from probinf._particles import add_log
from probinf._sampler import Info
from probinf.cases._attack_model import (
    LIKELIHOOD,
    POSTERIOR,
    PRIOR,
    Prior,
    finite,
    log_likelihood,
    small_likelihood,
)
from probinf.cases._unusual_kernels import PROPOSAL
from probinf.cases._unusual_model import logs, two_steps
from probinf.distributions import Categorical
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.resampling import Multinomial
from probinf.validity import SamplerCase

# The ratio r of a geometric series in each state, and how noise multiplies it, with mean one.
RATIOS = (0.6, 0.3, 0.1)
_NOISE = (0.5, 1.5)
# The law of the number of terms after the first.
_STOPS = (0.5, 0.3, 0.2)
_SURVIVAL = (1.0, 0.5, 0.2)
# Of the size that some hundred observations give.
FAR = 900.0
_THRESHOLD = 0.5


def unusual_weights() -> tuple[SamplerCase, ...]:
    """Samplers that weigh each lane by itself, each properly weighted for what it states."""
    start, series = Draw(Prior()), tuple(p * (1 + r + r * r) for p, r in zip(PRIOR, RATIOS, strict=True))
    alternating = tuple(p * (1 - r + r * r) for p, r in zip(PRIOR, RATIOS, strict=True))
    return (
        SamplerCase("single-term estimate of a series", start >> SingleTerm()),
        SamplerCase("single term of an alternating series, signed", start >> SignedTerm(), target=finite(alternating)),
        SamplerCase("Russian roulette with independent sums", start >> IndependentSums()),
        SamplerCase("roulette in float32 against a float64 target", start >> _roulette(), target=finite(series)),
        SamplerCase("tables in float32 captured by a closure", _captured()),
        SamplerCase("law and likelihood in float32 as fields", _fields()),
        SamplerCase("log-likelihoods near -900", _far(Density("likelihood", _log_tiny))),
        SamplerCase("log-likelihoods near +900", _far(Density("likelihood", _log_huge))),
        SamplerCase("reverse annealed importance sampling", _reverse_annealing()),
        SamplerCase("sequential importance sampling with rejection control", two_steps(RejectionControl())),
    )


class Estimated(Sampler):
    """Multiplies each weight by an unbiased estimate of 1 + r + r^2, where r depends on the value."""

    @abc.abstractmethod
    def log_estimate(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Float[Array, ""]:
        """The logarithm of one estimate."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        log_g = jax.vmap(self.log_estimate)(jax.random.split(key, cloud.n), cloud.values)
        return cloud.replace(log_weights=add_log(cloud.log_weights, log_g)), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * Density("1 + r + r^2", _log_series)).claiming(Guarantee.PROPER)


class SingleTerm(Estimated):
    """Draws which term of the series to estimate, and divides it by its chance; each power has noise of its own.

    Source: Rhee and Glynn, Operations Research 63 (2015), the single-term estimator.
    """

    def log_estimate(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Float[Array, ""]:
        stop_key, noise_key = jax.random.split(key)
        k = choice(stop_key, logs(_STOPS))
        factors = _noisy_ratios(noise_key, x, 2)
        return jnp.sum(jnp.where(jnp.arange(2) < k, jnp.log(factors), 0.0)) - logs(_STOPS)[k]


class SignedTerm(Sampler):
    """Draws which term of 1 - r + r^2 to estimate, divides it by its chance, and keeps its sign beside the value.

    Source: Lyne, Girolami, Atchade, Strathmann and Simpson, Statistical Science 30 (2015), arXiv 1306.4032.
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        k = choice(key, logs(_STOPS), (cloud.n,))
        log_r = logs(RATIOS)[cloud.values]
        log_weights = add_log(cloud.log_weights, k * log_r - logs(_STOPS)[k])
        values = Signed(cloud.values, jnp.where(k == 1, -1.0, 1.0))
        return cloud.replace(values=values, log_weights=log_weights), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * Density("1 - r + r^2", _log_alternating)).claiming(Guarantee.PROPER)


def _log_alternating(x: Int[Array, ""]) -> Float[Array, ""]:
    r = jnp.exp(logs(RATIOS)[x])
    return jnp.log(1 - r + r**2)


class IndependentSums(Estimated):
    """Adds terms until roulette stops, each estimated independently and divided by its chance to be reached.

    Source: Rhee and Glynn, Operations Research 63 (2015), the independent-sum estimator; McLeish, Monte Carlo Methods
    and Applications 17 (2011), arXiv 1005.2228.
    """

    def log_estimate(self, key: PRNGKeyArray, x: Int[Array, ""]) -> Float[Array, ""]:
        stop_key, noise_key = jax.random.split(key)
        stop = choice(stop_key, logs(_STOPS))
        r = _noisy_ratios(noise_key, x, 3)
        terms = jnp.stack([jnp.ones_like(r[0]), r[0], r[1] * r[2]]) / jnp.array(_SURVIVAL)
        return jnp.log(jnp.sum(jnp.where(jnp.arange(3) <= stop, terms, 0.0)))


class Roulette(Sampler):
    """Adds exact terms until roulette stops; its tables are arrays of float32.

    Source: Lyne, Girolami, Atchade, Strathmann and Simpson, Statistical Science 30 (2015), arXiv 1306.4032.
    """

    ratios: Float[Array, " states"]
    stops: Float[Array, " terms"]

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        stop = choice(key, jnp.log(self.stops), (cloud.n,))
        k = jnp.arange(len(self.stops))
        survival = jnp.cumsum(self.stops[::-1])[::-1]
        terms = self.ratios[cloud.values][:, None] ** k[None] / survival[None]
        log_g = jnp.log(jnp.sum(jnp.where(k[None] <= stop[:, None], terms, 0.0), axis=1))
        return cloud.replace(log_weights=add_log(cloud.log_weights, log_g)), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * Density("1 + r + r^2", _log_series)).claiming(Guarantee.PROPER)


class RejectionControl(Sampler):
    """Rejects a lane below a threshold with the chance that makes up for lifting the others to it.

    Source: Liu, Chen and Wong, Journal of the American Statistical Association 93 (1998).
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        log_c = jnp.log(jnp.asarray(_THRESHOLD, cloud.log_weights.dtype))
        kept = flip(key, cloud.log_weights - log_c)
        return cloud.replace(log_weights=jnp.where(kept, jnp.maximum(cloud.log_weights, log_c), -jnp.inf)), ()

    def meaning(self, m: Measure) -> Measure:
        return m.claiming(Guarantee.PROPER)


def _roulette() -> Roulette:
    return Roulette(jnp.array(RATIOS, jnp.float32), jnp.array(_STOPS, jnp.float32))


def _captured() -> Sampler:
    """Importance sampling whose likelihood is a closure over an array of float32."""
    table = jnp.log(jnp.array(LIKELIHOOD, jnp.float32))

    def log_g(x: Int[Array, ""]) -> Float[Array, ""]:
        return table[x]

    return Draw(Prior()) >> Reweight(Density("likelihood", log_g)) >> Resample(Multinomial())


class SingleTable(Distribution):
    """A law given by logarithms in float32, which sum to one up to their rounding; lanes draw together."""

    log_probs: Float[Array, " states"]
    name: str = eqx.field(static=True, default="prior")

    def sample(self, key: PRNGKeyArray, x: Any) -> Int[Array, ""]:
        return choice(key, self.log_probs)

    def sample_lanes(self, key: PRNGKeyArray, values: Any, n: int) -> Int[Array, " n"]:
        return jax.vmap(lambda i: choice(jax.random.fold_in(key, i), self.log_probs))(jnp.arange(n))

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return self.log_probs[x]


class SingleScores(Factor):
    """Log-likelihoods in float32."""

    log_scores: Float[Array, " states"]
    name: str = eqx.field(static=True, default="likelihood")

    def log_density(self, x: Int[Array, ""]) -> Float[Array, ""]:
        return self.log_scores[x]


def _fields() -> Sampler:
    prior, scores = (jnp.log(jnp.array(row, jnp.float32)) for row in (PRIOR, LIKELIHOOD))
    return Draw(SingleTable(prior)) >> Reweight(SingleScores(scores))


def _far(likelihood: Factor) -> Sampler:
    """Importance sampling with resampling, of a mass that is no float.

    Source: Kong, Liu and Wong, Journal of the American Statistical Association 89 (1994).
    """
    return Draw(Prior()) >> Reweight(likelihood) >> Resample(Multinomial())


def _reverse_annealing() -> Sampler:
    """Anneals from an exact draw of the posterior down to the prior: the mean weight is one over the evidence.

    Source: Burda, Grosse and Salakhutdinov, Artificial Intelligence and Statistics (2015), arXiv 1412.8566.
    """
    posterior = Categorical(np.log(POSTERIOR), name="posterior")
    down = small_likelihood() ** -0.5
    bridge = MetropolisHastings(posterior * down, FiniteProposal(np.log(PROPOSAL)))
    return Draw(posterior) >> Reweight(down) >> Move(bridge) >> Reweight(down)


def _noisy_ratios(key: PRNGKeyArray, x: Int[Array, ""], k: int) -> Float[Array, " k"]:
    coins = choice(key, jnp.zeros(2), (k,))
    return jnp.array(RATIOS)[x] * jnp.array(_NOISE)[coins]


def _log_series(x: Any) -> Float[Array, ""]:
    r = jnp.array(RATIOS)[x]
    return jnp.log1p(r + r * r)


def _log_tiny(x: Int[Array, ""]) -> Float[Array, ""]:
    return log_likelihood(x) - FAR


def _log_huge(x: Int[Array, ""]) -> Float[Array, ""]:
    return log_likelihood(x) + FAR
