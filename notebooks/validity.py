# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Samplers whose validity is checked
#
# A sampler in probinf states the measure that it means, and the library checks the statement: exactly, on every outcome
# of the sampler's own randomness, where that is discrete; by tests with stated error rates where it is continuous.
# This notebook shows both on the classical algorithms, and then uses them on data.
#
# The idea is that of "Denotational validation of higher-order Bayesian inference" (arXiv 1711.03219).

# %%
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import probinf as pi
from probinf.distributions import Categorical, HiddenMarkovModel, LinearGaussianModel, Path
from probinf.interop import from_numpyro, summary, warmup
from probinf.kernels import FiniteProposal, MetropolisHastings, conditional_smc, hmc, random_walk
from probinf.samplers import (
    adaptive_tempered_smc,
    bootstrap_filter,
    ladder_of,
    tempered_smc,
)
from probinf.validity import (
    check_proper_weighting,
    detailed_balance_error,
    exact_rank_test,
    invariance_error,
    kernel_matrix,
)

# %%
# So that errors of exact checks are those of double precision, tables included.
jax.config.update("jax_enable_x64", True)

# %% [markdown]
# ## 1. One composition, its meaning, and the check
#
# Two draws, a likelihood, a resampling. `meaning` is what the composition claims; the check runs the same code on every
# outcome, resampling included, and compares the measure that comes out with that claim.

# %%
prior = Categorical(np.log([0.2, 0.5, 0.3]), name="prior")
log_likelihood = jnp.log(jnp.array([0.9, 0.2, 0.5]))
likelihood = pi.Density("likelihood", lambda x: log_likelihood[x])

sampler = pi.Draw(prior) >> pi.Reweight(likelihood) >> pi.Resample()
print(sampler.meaning(pi.Measure()).name, "|", sampler.meaning(pi.Measure()).guarantee)
exact = check_proper_weighting(sampler, n=3)
print(f"{exact.worlds} worlds, largest error {exact.error:.1e}")


# %% [markdown]
# A bug that no plot would show: survivors keep the weights that had already chosen them.


# %%
class KeepsWeights(pi.Resample):
    """Resampling that counts every weight twice."""

    def _apply(self, key, cloud, **how):
        after, info = super()._apply(key, cloud, **how)
        return after.replace(log_weights=jnp.take(cloud.log_weights, info.ancestors)), info


wrong = check_proper_weighting(pi.Draw(prior) >> pi.Reweight(likelihood) >> KeepsWeights(), n=3)
print(f"largest error {wrong.error:.2f}")
assert exact.error < 1e-6 < 0.1 < wrong.error

# %% [markdown]
# ## 2. Kernels as exact matrices
#
# On finitely many states a Markov kernel is a matrix, read off the code that runs. Keeping the target is `pi K = pi`;
# without the ratio of proposals it does not.


# %%
class NoRatio(FiniteProposal):
    """The Hastings ratio forgotten."""

    def log_ratio(self, x, y):
        return jnp.zeros(())


def transition(kernel):
    return lambda key, x: kernel(key, x)[0]


moves, states = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]]), np.arange(3, dtype=np.int32)
for proposal in (FiniteProposal(moves), NoRatio(moves)):
    matrix = kernel_matrix(transition(MetropolisHastings(prior * likelihood, proposal)), states)
    log_target = np.asarray(prior.log_probs + log_likelihood)
    errors = invariance_error(matrix, log_target), detailed_balance_error(matrix, log_target)
    print(f"{type(proposal).__name__:15s} |pi K - pi| = {errors[0]:.1e}   detailed balance {errors[1]:.1e}")

# %% [markdown]
# The same for particle Gibbs, whose own coins include every ancestor of every particle: 8 trajectories, thousands of
# worlds, one compiled call.

# %%
hmm = HiddenMarkovModel(np.log([0.6, 0.4]), np.log([[0.7, 0.3], [0.2, 0.8]]), np.log([[0.9, 0.1], [0.35, 0.65]]), 3)
rows = hmm.rows(jnp.array([0, 1, 1]))
particle_filter = bootstrap_filter(hmm.initial(), hmm.step, hmm.emission, rows)
paths = Path(np.array(list(itertools.product([0, 1], repeat=3)), np.int32), np.full(8, 3, np.int32))
matrix = kernel_matrix(transition(conditional_smc(particle_filter, 2)), paths)
log_posterior = jax.vmap(particle_filter.meaning(pi.Measure()).log_density)(jax.tree.map(jnp.asarray, paths))
print(f"bootstrap filter, N=2: error {check_proper_weighting(particle_filter, n=2).error:.1e}")
print(f"particle Gibbs on it:  |pi K - pi| = {invariance_error(matrix, log_posterior):.1e}")
matrix.round(3)

# %% [markdown]
# ## 3. A rank test where nothing can be enumerated
#
# For continuous kernels `exact_rank_test` (Gandy and Scott, arXiv 2001.06465) gives ranks that are exactly uniform if
# the kernel is reversible for its target, whatever its mixing. Watched as a bet, it may be looked at after every draw.


# %%
def simulate(key, theta):
    return theta + 0.5 * jax.random.normal(key)


class LogLikelihood(eqx.Module):
    """Log-density of y given theta."""

    y: jax.Array
    noise: float

    def __call__(self, theta):
        return dist.Normal(theta, self.noise).log_prob(self.y)


class Posterior(eqx.Module):
    """Random-walk Metropolis for theta given y; right for a noise of 0.5."""

    noise: float

    def __call__(self, y):
        target = pi.Named("prior", dist.Normal(0.0, 1.0)) * pi.Density("likelihood", LogLikelihood(y, self.noise))
        return MetropolisHastings(target, random_walk(0.8))


normal = pi.Named("prior", dist.Normal(0.0, 1.0))
for noise in (0.5, 0.7):
    ranks = exact_rank_test(Posterior(noise), normal, simulate, jax.random.key(1), replicates=4096)
    wealth = float(jnp.max(ranks.log_wealth()) / jnp.log(10.0))
    print(f"noise taken for {noise}: the gambler's wealth reaches 10^{wealth:.1f}; the alarm is at 10^3")

# %% [markdown]
# ## 4. A state-space model
#
# The filter's evidence estimate is unbiased; against the Kalman filter it can be seen. Other data run the program that
# is there: nothing compiles anew.

# %%
model = LinearGaussianModel(
    initial_mean=jnp.zeros(1), initial_scale=jnp.eye(1),
    transition_matrix=0.9 * jnp.eye(1), transition_scale=0.5 * jnp.eye(1),
    observation_matrix=jnp.eye(1), observation_scale=0.4 * jnp.eye(1),
)  # fmt: skip
y = jnp.sin(jnp.arange(40) / 4.0)[:, None]
data = model.rows(y)
filtered = pi.sample(
    bootstrap_filter(model.initial(), model.transition, model.observation, data), jax.random.key(0), 10_000
)
exact_log_z = float(model.kalman(data).log_likelihood)
print(f"log Z-hat {float(filtered.particles.log_z):.3f}, Kalman filter {exact_log_z:.3f}")
assert abs(float(filtered.particles.log_z) - exact_log_z) < 0.5


# %% [markdown]
# ## 5. A numpyro model: evidence by tempering, draws by NUTS
#
# The adaptive run finds a ladder of temperatures, and is only consistent, which its meaning says. A second run on that
# ladder has an unbiased evidence estimate.


# %%
def eight_schools(effects, errors):
    average = numpyro.sample("average", dist.Normal(0.0, 10.0))
    log_spread = numpyro.sample("log_spread", dist.Normal(5.0, 1.0))
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([8]).to_event(1))
    numpyro.sample("y", dist.Normal(average + jnp.exp(log_spread) * z, errors).to_event(1), obs=effects)


effects = jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
errors = jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
schools = from_numpyro(eight_schools, effects, errors)
make_kernel = eqx.Partial(hmc, step_size=jnp.asarray(0.3), steps=8)
pilot_sampler = adaptive_tempered_smc(schools.prior, schools.likelihood, make_kernel)
pilot = pi.sample(pilot_sampler, jax.random.key(0), 1000)
print(
    "the pilot claims", pilot_sampler.meaning(pi.Measure()).guarantee, "and finds", ladder_of(pilot.info[-1]).round(4)
)

again = tempered_smc(schools.prior, schools.likelihood, make_kernel, ladder_of(pilot.info[-1]))
runs = [pi.sample(again, jax.random.key(seed), 1000) for seed in range(1, 5)]
print(
    "the second run claims", again.meaning(pi.Measure()).guarantee, "| log Z:",
    *(f"{float(run.particles.log_z):.2f}" for run in runs), "| quadrature: -36.13",
)  # fmt: skip
summary(runs, model=schools, key=jax.random.key(9))

# %%
starts = jax.vmap(lambda key: schools.prior.sample(key, ()))(jax.random.split(jax.random.key(2), 4))
tuned = warmup(schools.posterior, jax.random.key(3), jax.tree.map(lambda x: 0.1 * x, starts), steps=500)
chains = pi.sample_chains(tuned.kernel, jax.random.key(4), tuned.values, 500)
summary(chains, model=schools)

# %% [markdown]
# ## 6. Everything that is shipped
#
# `probinf check --planted` runs the checks on every sampler and kernel of the library, and on a catalog of samplers
# that are wrong on purpose; `probinf figures validity` draws what they found.
