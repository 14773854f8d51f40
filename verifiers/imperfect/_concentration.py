"""Beyond the samples by a Dirichlet-multinomial model, whose posterior our own Markov chains draw from."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._arguments import count, real
from probinf._chains import sample_chains
from probinf._choice import check_key
from probinf._measure import Factor
from probinf.distributions._small_matrices import cholesky, solve_upper
from probinf.kernels import hmc
from probinf.verifiers.imperfect._checks import as_attempts
from probinf.verifiers.imperfect._counts import SampleCounts
from probinf.verifiers.imperfect._dirichlet import DirichletCounts
from probinf.verifiers.imperfect._gamma import log_gamma_ratio
from probinf.verifiers.imperfect._intervals import Interval, _check_level
from probinf.verifiers.imperfect._newton import newton
from probinf.verifiers.imperfect._payoff import Payoff
from probinf.verifiers.imperfect._population import Population, _expected_samples

# Standard deviation of the prior of each log-concentration: from about 1/50 to 50.
_PRIOR = 2.0
# Close to the best step for a Gaussian of three dimensions, and so many that a trajectory crosses it.
_STEP, _STEPS = 0.6, 4
_WARM_UP = 50


class ConcentrationDraws(NamedTuple):
    """Draws of the concentrations of (accepted and correct, accepted and wrong, rejected), given counts.

    `accepted`: the share of accepted trajectories.
    """

    concentration: Float[Array, "draws 3"]
    counts: Float[Array, "N 3"]
    accepted: Float[Array, ""]

    def ceilings(self) -> Float[Array, " draws"]:
        """A_inf of the population that the tasks were drawn from, for each draw."""
        return self.concentration[:, 0] / (self.concentration[:, 0] + self.concentration[:, 1])

    def tasks(self, key: PRNGKeyArray) -> Population:
        """The chances of these very tasks, given their counts: one `Population` for each draw, stacked."""
        check_key(key)

        def draw(key: PRNGKeyArray, concentration: Array) -> Population:
            chances = jax.random.dirichlet(key, concentration[None] + self.counts)
            return Population.from_joint(chances[:, 0], chances[:, 1])

        return eqx.filter_vmap(draw)(jax.random.split(key, self.concentration.shape[0]), self.concentration)

    def new_task_utilities(self, attempts: Any, payoff: Payoff) -> Float[Array, "draws *K"]:
        """U(K) of the population that the tasks were drawn from, for each draw."""
        k = as_attempts(attempts)
        return jax.vmap(lambda a: payoff.of(*DirichletCounts(a).outcomes(k)))(self.concentration)

    def best_attempts(self, key: PRNGKeyArray, attempts: Float[Array, " K"], payoff: Payoff) -> Float[Array, " draws"]:
        """Which of these ascending K is best on these very tasks, for each draw: the posterior of K*.

        Put zero first, and infinity last: sums of what is added between neighbors are compared, from the best so far
        on, so a large K does not win because its successors change no digit.
        """
        k = as_attempts(attempts)

        def best(population: Population) -> Array:
            # What is added from each K to the next, over the share that is still there of the slowest task.
            q, first = population.acceptance, population.first_gains(payoff)
            log_left = k[:-1, None] * jnp.log1p(-jnp.minimum(q, 1 - jnp.finfo(q.dtype).epsneg))[None]
            slowest = jnp.max(jnp.where(first[None] != 0, log_left, -jnp.inf), axis=1)
            samples = jax.vmap(_expected_samples, (None, 0))(q, k[1:] - k[:-1])
            added = jnp.where(first[None] != 0, jnp.exp(log_left - slowest[:, None]) * samples, 0.0) @ first
            growth = jnp.exp(jnp.minimum(slowest - jnp.concatenate([slowest[1:], slowest[-1:]]), 80.0))

            def walk(state: tuple[Array, Array], row: tuple[Array, ...]) -> tuple[tuple[Array, Array], None]:
                since, best = state
                added, growth, k = row
                since = since + added
                return (jnp.where(since > 0, 0.0, since * growth), jnp.where(since > 0, k, best)), None

            (_, found), _ = jax.lax.scan(walk, (jnp.zeros((), k.dtype), k[0]), (added, growth, k[1:]))
            return found

        return eqx.filter_vmap(best)(self.tasks(key))


class ConcentrationPosterior(Factor):
    """Posterior of three log-concentrations, in coordinates in which it is close to a standard Gaussian.

    Law: log-concentrations ~ N(0, 2^2) each, and each row of counts Dirichlet-multinomial.
    """

    counts: Float[Array, "N 3"]
    center: Float[Array, " 3"]
    root: Float[Array, "3 3"]
    name: str = eqx.field(default="posterior of concentrations", static=True)

    def log_density(self, x: Float[Array, " 3"]) -> Float[Array, ""]:
        """Up to a constant."""
        return log_posterior(self.center + self.root @ x, self.counts)


def log_posterior(log_concentration: Float[Array, " 3"], counts: Float[Array, "N 3"]) -> Float[Array, ""]:
    """Log-density of the log-concentrations, up to a constant."""
    a = jnp.broadcast_to(jnp.exp(log_concentration), counts.shape)
    parts = jnp.sum(log_gamma_ratio(a, counts)) - jnp.sum(log_gamma_ratio(jnp.sum(a, 1), jnp.sum(counts, 1)))
    return parts - 0.5 * jnp.sum((log_concentration / _PRIOR) ** 2)


def sample_concentrations(
    key: PRNGKeyArray, counts: SampleCounts, *, draws: int = 250, chains: int = 4
) -> ConcentrationDraws:
    """Draws from the posterior of a Dirichlet-multinomial model by Hamiltonian Monte Carlo, chains one after the other.

    Chains start at the mode, in coordinates that the curvature there makes alike, and lose their first 50 draws.

    Law: invariant for the posterior, so of its law once the start is forgotten. What the model says beyond the samples,
    PPVs that have nothing to do with difficulty above all, is an assumption: compare with `estimate_outcomes` where
    both speak.

    Raises: TypeError for a legacy key; ValueError for fewer than one draw.
    """
    check_key(key)
    draws, chains = count("draws", draws), count("chains", chains)
    rows = jnp.stack([counts.correct, counts.wrong, counts.rejected], axis=1)
    mode, hessian = newton(lambda theta: -log_posterior(theta, rows), jnp.zeros(3, rows.dtype))
    # hessian = L L^T, so columns of L^-T have unit length in it.
    root = solve_upper(cholesky(hessian).T, jnp.eye(3, dtype=rows.dtype))
    kernel = hmc(ConcentrationPosterior(rows, mode, root), _STEP, _STEPS)
    found = sample_chains(kernel, key, jnp.zeros((chains, 3), rows.dtype), _WARM_UP + draws)
    values = found.values[:, _WARM_UP:].reshape(-1, 3)
    accepted = jnp.mean(found.info.accepted[:, _WARM_UP:].astype(rows.dtype))
    return ConcentrationDraws(jnp.exp(mode[None] + values @ root.T), rows, accepted)


def credible_interval(draws: Float[Array, "draws *K"], *, level: float = 0.95) -> Interval:
    """The interval between the quantiles of draws.

    Raises: ValueError for a level outside (0, 1), no draws, and NaN among them.
    """
    _check_level(level)
    draws = real("draws", draws)
    if not draws.ndim or not draws.shape[0]:
        raise ValueError(f"quantiles need draws [draws, ...], got shape {draws.shape}")
    ends = jnp.quantile(draws, jnp.asarray([(1 - level) / 2, (1 + level) / 2], draws.dtype), axis=0)
    return Interval(ends[0], ends[1])
