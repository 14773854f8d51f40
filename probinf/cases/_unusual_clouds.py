"""Right samplers whose lanes look at each other, share randomness, or change in number."""

from __future__ import annotations

import abc
from typing import Any

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
    Map,
    Measure,
    Move,
    Particles,
    Reweight,
    Sampler,
    choice,
    flip,
    take_lanes,
    uniform_cells,
)
from probinf._particles import add_log, log_mean_exp
from probinf._sampler import Info
from probinf.cases._attack_model import LIKELIHOOD, POSTERIOR, PRIOR, Prior, finite, small_likelihood
from probinf.cases._unusual_kernels import PROPOSAL
from probinf.cases._unusual_model import (
    SEEN,
    START,
    STEP,
    Follow,
    Pair,
    Start,
    first_seen,
    logs,
    second_seen,
    two_steps,
)
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.resampling import Systematic
from probinf.validity import FiniteMeasure, SamplerCase

# Two proposals for the posterior, which lanes take in turn.
_MIXTURE = ((0.6, 0.2, 0.2), (0.1, 0.3, 0.6))
_CONTROL = 0.15
# A proposal for the second state given the first.
_GUIDE = ((0.4, 0.6), (0.3, 0.7))
# Weights outside these bounds, relative to the mean, are resampled.
_BOUNDS = (0.7, 1.2)
_SPARE_TRIES = 2


def unusual_clouds() -> tuple[SamplerCase, ...]:
    """Samplers of whole clouds, each properly weighted for what it states."""
    posterior, start = finite(POSTERIOR), Draw(Start()) >> Reweight(first_seen())
    alive = Alive(Follow(), second_is_one())
    likelihood = Reweight(small_likelihood())
    return (
        SamplerCase("antithetic pairs of lanes", Antithetic(), target=finite(PRIOR)),
        SamplerCase("one stratum a lane", StratifiedLanes() >> likelihood, n=3, target=posterior),
        SamplerCase("deterministic mixture of proposals", DeterministicMixture(), n=3, target=posterior),
        SamplerCase("weights with a control variate", ControlVariate(), target=posterior),
        SamplerCase("waste recycling", Draw(Prior()) >> likelihood >> _waste_recycling(), target=posterior),
        SamplerCase("one uniform for all islands, on the union of breaks", two_steps(SharedUniform()), n=4),
        SamplerCase("one uniform for all islands, by vmap over one key", two_steps(SharedKeySystematic()), n=4),
        SamplerCase("partial resampling", two_steps(PartialResampling()), n=3),
        SamplerCase("residual resampling with a random remainder", two_steps(RandomRemainder())),
        SamplerCase("splitting", two_steps(Splitting())),
        SamplerCase("alive particle filter within a budget", start >> alive, target=_alive()),
        SamplerCase("marginal weights", start >> MarginalStep(), target=_marginal()),
    )


class Antithetic(Sampler):
    """Draws lanes from the prior in pairs, one from u and one from 1 - u.

    Source: Hammersley and Morton, Mathematical Proceedings of the Cambridge Philosophical Society 52 (1956).
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        ends = jnp.cumsum(jnp.array(PRIOR))[:-1]
        pairs = -(-cloud.n // 2)
        u = uniform_cells(key, jnp.tile(jnp.concatenate([ends, 1 - ends]), (pairs, 1)))
        points = jnp.stack([u, 1 - u], axis=1).reshape(-1)[: cloud.n]
        return cloud.replace(values=_cells(points, ends)), ()

    def meaning(self, m: Measure) -> Measure:
        return m * Prior()


class StratifiedLanes(Sampler):
    """Draws lane i from the i-th of n strata of the prior: lanes have the law of the prior only all together.

    Source: Gerber and Chopin, Journal of the Royal Statistical Society B 77 (2015), arXiv 1402.4039.
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        ends, lanes = jnp.cumsum(jnp.array(PRIOR))[:-1], jnp.arange(cloud.n)
        u = uniform_cells(key, cloud.n * ends[None] - lanes[:, None])
        return _fresh(cloud, _cells((lanes + u) / cloud.n, ends)), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * Prior()).claiming(Guarantee.PROPER)


class DeterministicMixture(Sampler):
    """Lanes take two proposals in turn, and all weights divide by the mixture of the proposals that were taken.

    Source: Veach and Guibas, SIGGRAPH (1995); Elvira, Martino, Luengo and Bugallo, Statistical Science 34 (2019), arXiv
    1511.03095.
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        taken = jnp.array(_MIXTURE)[jnp.arange(cloud.n) % 2]
        values = choice(key, jnp.log(taken))
        log_g = logs(POSTERIOR)[values] - jnp.log(jnp.mean(taken, axis=0))[values]
        return _fresh(cloud, values).replace(log_weights=log_g), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * Prior() * small_likelihood()).claiming(Guarantee.PROPER)


class ControlVariate(Sampler):
    """Draws only what the likelihood exceeds a constant by, and adds the constant times the prior as exact lanes.

    Source: Owen and Zhou, Journal of the American Statistical Association 95 (2000).
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        states = len(PRIOR)
        lanes = cloud.n + states
        drawn = choice(key, logs(PRIOR), (cloud.n,))
        excess = jnp.log(jnp.array(LIKELIHOOD) - _CONTROL)[drawn] + jnp.log(lanes / cloud.n)
        exact = logs(PRIOR) + jnp.log(_CONTROL * lanes)
        log_weights = [add_log(cloud.log_weights, excess), add_log(exact, log_mean_exp(cloud.log_weights))]
        values = jnp.concatenate([drawn, jnp.arange(states, dtype=jnp.int32)])
        return _cloud(values, jnp.concatenate(log_weights), cloud.log_evidence), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * Prior() * small_likelihood()).claiming(Guarantee.PROPER)


class WasteRecycling(Sampler):
    """Keeps both ends of a Metropolis move, each with its chance to be taken.

    Source: Frenkel, Proceedings of the National Academy of Sciences 101 (2004); Delmas and Jourdain, Journal of Applied
    Probability 46 (2009), arXiv math/0611949.
    """

    kernel: MetropolisHastings

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        proposed = self.kernel.proposal.sample_lanes(key, cloud.values, cloud.n)
        log_p = [self.kernel.target.log_density_lanes(x, cloud.n) for x in (cloud.values, proposed)]
        log_ratio = log_p[1] - log_p[0] + jax.vmap(self.kernel.proposal.log_ratio)(cloud.values, proposed)
        accepted = jnp.exp(jnp.minimum(log_ratio, 0.0))
        both = jnp.log(2 * jnp.concatenate([1 - accepted, accepted]))
        values = jnp.concatenate([cloud.values, proposed])
        return _cloud(values, add_log(jnp.tile(cloud.log_weights, 2), both), cloud.log_evidence), ()

    def meaning(self, m: Measure) -> Measure:
        return Move(self.kernel).meaning(m).claiming(Guarantee.PROPER)


class TwoIslands(Sampler):
    """Resamples each half of the cloud by itself, and leaves its mass in its weights."""

    @abc.abstractmethod
    def ancestors(self, key: PRNGKeyArray, rows: Float[Array, "2 L"]) -> Int[Array, "2 L"]:
        """The ancestors within each island."""

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        if cloud.n % 2:
            raise ValueError(f"two islands do not divide a cloud of {cloud.n} lanes")
        rows = cloud.log_weights.reshape(2, -1)
        lanes = rows.shape[1]
        ancestors = (self.ancestors(key, rows) + jnp.array([[0], [lanes]])).reshape(-1)
        log_weights = jnp.repeat(jax.vmap(log_mean_exp)(rows), lanes)
        return _cloud(take_lanes(cloud.values, ancestors), log_weights, cloud.log_evidence), ()

    def meaning(self, m: Measure) -> Measure:
        return m.claiming(Guarantee.PROPER)

    @property
    def lanewise(self) -> bool:
        return False


class SharedUniform(TwoIslands):
    """Systematic resampling of both islands by one uniform, whose breaks are those of both.

    Source: Verge, Dubarry, Del Moral and Moulines, Statistics and Computing 25 (2015), arXiv 1306.3911.
    """

    def ancestors(self, key: PRNGKeyArray, rows: Float[Array, "2 L"]) -> Int[Array, "2 L"]:
        lanes = rows.shape[1]
        living = jnp.max(rows, axis=1, keepdims=True) > -jnp.inf
        ends = lanes * jnp.cumsum(jax.nn.softmax(jnp.where(living, rows, 0.0), axis=1), axis=1)[:, :-1]
        points = jnp.arange(lanes) + uniform_cells(key, (ends % 1.0).reshape(-1))
        return jnp.sum(points[None, :, None] >= ends[:, None, :], axis=2)


class SharedKeySystematic(TwoIslands):
    """The same, written as one scheme that is mapped over the islands with one key for all.

    Source: Verge, Dubarry, Del Moral and Moulines, Statistics and Computing 25 (2015), arXiv 1306.3911.
    """

    def ancestors(self, key: PRNGKeyArray, rows: Float[Array, "2 L"]) -> Int[Array, "2 L"]:
        return jax.vmap(Systematic(), in_axes=(None, 0))(key, rows)


class PartialResampling(Sampler):
    """Resamples only lanes of very small or large weight, among themselves; the others keep their weights.

    Source: Liu, Chen and Logvinenko, in Sequential Monte Carlo Methods in Practice (2001); Martino, Elvira and
    Camps-Valls, Digital Signal Processing 82 (2018), arXiv 1704.02771.
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        relative = cloud.log_weights - jnp.maximum(log_mean_exp(cloud.log_weights), jnp.finfo(jnp.float32).min)
        group = (relative < jnp.log(_BOUNDS[0])) | (relative > jnp.log(_BOUNDS[1]))
        selection = jnp.where(group, cloud.log_weights, -jnp.inf)
        drawn = choice(key, selection, (cloud.n,))
        log_mean = jax.nn.logsumexp(selection) - jnp.log(jnp.maximum(jnp.sum(group), 1))
        values = take_lanes(cloud.values, jnp.where(group, drawn, jnp.arange(cloud.n)))
        return _cloud(values, jnp.where(group, log_mean, cloud.log_weights), cloud.log_evidence), ()

    def meaning(self, m: Measure) -> Measure:
        return m.claiming(Guarantee.PROPER)

    @property
    def lanewise(self) -> bool:
        return False


class RandomRemainder(Sampler):
    """Each lane leaves the whole part of its expected offspring, and one more by a coin: the total is random.

    Lanes that nobody takes are dead, among twice as many as came in.

    Source: Crisan, Del Moral and Lyons, Markov Processes and Related Fields 5 (1999).
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        lanes = 2 * cloud.n
        expected = cloud.n * cloud.normalized_weights
        whole = jnp.floor(expected)
        after = jnp.cumsum(whole.astype(jnp.int32) + flip(key, jnp.log(expected - whole)))
        taken = jnp.arange(lanes) < after[-1]
        ancestors = jnp.where(taken, jnp.searchsorted(after, jnp.arange(lanes), side="right"), 0)
        log_weights = jnp.where(taken, jnp.log(2.0), -jnp.inf).astype(cloud.log_weights.dtype)
        return _cloud(take_lanes(cloud.values, ancestors), log_weights, cloud.log_z), ()

    def meaning(self, m: Measure) -> Measure:
        return m.claiming(Guarantee.PROPER)

    @property
    def lanewise(self) -> bool:
        return False


class Splitting(Sampler):
    """A lane that has reached state one goes on as two of half the weight; the partner of the others is dead.

    Source: Kahn and Harris, National Bureau of Standards Applied Mathematics Series 12 (1951).
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        del key
        reached = cloud.values[:, 0] == 1
        # The mean is over twice as many lanes: a copy of half the weight keeps its number.
        kept = cloud.log_weights + jnp.where(reached, 0.0, jnp.log(2.0))
        copies = jnp.where(reached, cloud.log_weights, -jnp.inf)
        values = jnp.concatenate([cloud.values, cloud.values])
        return _cloud(values, jnp.concatenate([kept, copies]), cloud.log_evidence), ()

    def meaning(self, m: Measure) -> Measure:
        return m.claiming(Guarantee.PROPER)


class Alive(Sampler):
    """Resamples and draws until n + 1 lanes are alive, and forgets the last; a budget ends the tries early.

    With T tries for them the chance to be alive is estimated by n / (T - 1); after a budget of B without enough by
    the share of B.

    Source: Girshick, Mosteller and Savage, Annals of Mathematical Statistics 17 (1946); Amrein and Kunsch, ACM
    Transactions on Modeling and Computer Simulation 21 (2011); Del Moral, Jasra, Lee, Yau and Zhang, Stochastic
    Analysis and Applications 33 (2015).
    """

    step: Distribution
    alive: Factor

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        ancestor_key, step_key = jax.random.split(key)
        n, budget = cloud.n, cloud.n + _SPARE_TRIES
        parents = take_lanes(cloud.values, choice(ancestor_key, cloud.log_weights, (budget,)))
        tries = self.step.sample_lanes(step_key, parents, budget)
        alive = self.alive.log_density_lanes(tries, budget) > -jnp.inf
        count = jnp.cumsum(alive)
        enough = count[-1] > n
        # Counted from zero, the index of the last try is T - 1.
        tried = jnp.where(enough, jnp.argmax(count == n + 1), budget)
        living = enough | (jnp.arange(n) < count[-1])
        log_weights = jnp.where(living, jnp.log(n / tried), -jnp.inf).astype(cloud.log_weights.dtype)
        first = jnp.argsort(~alive, stable=True)[:n]
        return _cloud(take_lanes(tries, first), log_weights, cloud.log_z), ()

    def meaning(self, m: Measure) -> Measure:
        return (m * self.step * self.alive).claiming(Guarantee.PROPER)

    @property
    def lanewise(self) -> bool:
        return False


class MarginalStep(Sampler):
    """Draws the second state from the mixture over all lanes, and weighs it by mixtures: its past is summed out.

    Source: Klaas, de Freitas and Doucet, Uncertainty in Artificial Intelligence (2005), arXiv 1207.1396.
    """

    def __call__(self, key: PRNGKeyArray, cloud: Particles) -> tuple[Particles, Info]:
        ancestor_key, step_key = jax.random.split(key)
        past, guide = cloud.values[:, 0], logs(_GUIDE)
        latest = choice(step_key, guide[past[choice(ancestor_key, cloud.log_weights, (cloud.n,))]])
        log_f, log_q = (jnp.log(cloud.normalized_weights @ jnp.exp(table[past])) for table in (logs(STEP), guide))
        # A dead cloud has no mixture.
        log_g = jnp.where(cloud.log_z > -jnp.inf, log_f - log_q, -jnp.inf)
        log_weights = logs(SEEN)[1, latest] + log_g[latest]
        return _cloud(latest, log_weights, cloud.log_z), ()

    def meaning(self, m: Measure) -> Measure:
        return Map(_latest).meaning((m * Follow() * second_seen()).claiming(Guarantee.PROPER))

    @property
    def lanewise(self) -> bool:
        return False


def second_is_one() -> Factor:
    """One where the second state is one, else zero."""
    return Density("second is one", _log_second_is_one)


def _waste_recycling() -> WasteRecycling:
    return WasteRecycling(MetropolisHastings(Prior() * small_likelihood(), FiniteProposal(np.log(PROPOSAL))))


def _cloud(values: Any, log_weights: Float[Array, " M"], log_evidence: Float[Array, ""]) -> Particles:
    """A cloud that carries no twist."""
    return Particles(values, log_weights, log_evidence, jnp.zeros_like(log_weights))


def _fresh(cloud: Particles, values: Any) -> Particles:
    """Equal weights: where lanes have unlike laws, the weights that come in must not favor any of them."""
    return _cloud(values, jnp.zeros_like(cloud.log_weights), cloud.log_z)


def _cells(points: Float[Array, " N"], ends: Float[Array, " K"]) -> Int[Array, " N"]:
    return jnp.sum(points[:, None] >= ends[None], axis=1).astype(jnp.int32)


def _alive() -> FiniteMeasure:
    """Both states and the first observation, where the second state is one."""
    mass = np.array(START) * np.array(SEEN)[0] * np.array(STEP)[:, 1]
    return FiniteMeasure(np.array([[0, 1], [1, 1]], np.int32), np.log(mass))


def _marginal() -> FiniteMeasure:
    """The second state and both observations."""
    mass = (np.array(START) * np.array(SEEN)[0]) @ np.array(STEP) * np.array(SEEN)[1]
    return FiniteMeasure(np.arange(2, dtype=np.int32), np.log(mass))


def _latest(x: Pair) -> Int[Array, ""]:
    return x[1]


def _log_second_is_one(x: Pair) -> Float[Array, ""]:
    return jnp.where(x[1] == 1, 0.0, -jnp.inf)
