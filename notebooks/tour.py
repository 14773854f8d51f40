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
# # A tour in ten minutes
#
# One noun, `Particles`; one verb, `Sampler`; one operator, `>>`. Five systems stand on them: inference whose laws
# are checked, language models that reason with particles, posteriors in one forward pass, models that know what they
# do not know, and what retrying against a fallible verifier can buy. Each section but the second ends with other data,
# and counts the programs that had to be compiled for them: none.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist

import probinf as pi
from probinf import Density, Draw, Named, Resample, Reweight, citation, explain, sample
from probinf.arithmetic import draw_problem, for_problem, grade, load_arithmetic
from probinf.distributions import GMM, Categorical
from probinf.samplers import Odds, reasoning_filter
from probinf.transformers_dist import DistributionTransformer, corrected
from probinf.transformers_dist.families import LinearData, LinearLikelihood
from probinf.validity import check_proper_weighting
from probinf.verifiers.imperfect import Payoff, Population, optimal_attempts
from probinf.verifiers.pairs import Mixture, selective_filter

compiled: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **_: compiled.append(name) if name.endswith("backend_compile_duration") else None
)


def programs_for(run):
    """What `run` returns, and how many programs were compiled for it."""
    before = len(compiled)
    return run(), len(compiled) - before


# %% [markdown]
# ## 1. One noun, one verb, one operator
#
# A cloud of weighted particles is a random measure, a sampler changes what it measures, and `>>` does one thing after
# the other. What varies is a field (here the argument of a `Partial`), so that other data are no other program.


# %%
def log_likelihood(x, y):
    """One observation of x with noise .5."""
    return dist.Normal(x, 0.5).log_prob(y)


def posterior(y):
    """Prior, likelihood, and copies of what is likely."""
    prior = Named("prior", dist.Normal(jnp.zeros(()), jnp.ones(())))
    likelihood = Density("likelihood", eqx.Partial(log_likelihood, y=jnp.asarray(y)))
    return Draw(prior) >> Reweight(likelihood) >> Resample()


result = sample(posterior(1.2), jax.random.key(0), n=10_000)
print(f"mean {result.particles.values.mean():.3f} (exact .960), log Z {result.particles.log_z:.3f} (exact -1.607)")
explain(posterior(1.2))

# %% [markdown]
# A sampler says what it means, stage by stage, and which papers it comes from.

# %%
print(str(explain(posterior(1.2))))
print(citation(posterior(1.2)))

# %%
other, programs = programs_for(lambda: sample(posterior(-0.4), jax.random.key(0), n=10_000))
print(f"other data: mean {other.particles.values.mean():.3f} (exact -.320), programs compiled: {programs}")

# %% [markdown]
# ## 2. Laws are checked, not trusted
#
# Where all randomness is discrete, the check reads the sampler on every outcome of its own choices. A sampler that
# resamples and forgets to bank the weight looks right in every plot, and is caught.


# %%
def weighted(log_weights):
    """Three states, their weights, a resampling."""
    states = Categorical(jnp.log(jnp.array([0.2, 0.5, 0.3])), name="states")
    return Draw(states) >> Reweight(Density("weight", eqx.Partial(jnp.take, log_weights))) >> Resample()


class Forgetful(Resample):
    """Resamples, and loses the mass."""

    def __call__(self, key, cloud):
        """As it should be, but for the evidence."""
        after, info = super().__call__(key, cloud)
        return after.replace(log_evidence=cloud.log_evidence), info


right = weighted(jnp.log(jnp.array([0.1, 1.0, 2.0])))
wrong = pi.Chain((*right.stages[:2], Forgetful()))
for name, sampler in (("as shipped", right), ("forgets its evidence", wrong)):
    print(f"{name}: largest error of the measure {check_proper_weighting(sampler, n=2).error:.1e}")

# %% [markdown]
# ## 3. A language model that reasons with particles
#
# A small model solves chained arithmetic step by step, a reward model scores the steps, and copies of what looks
# promising replace the rest. The filter's law is stated; what is printed is the share of right solutions.

# %%
models = load_arithmetic()


def solve(seed):
    """A problem and 16 solutions of it."""
    problem = draw_problem(jax.random.key(seed), "evaluation")
    writer = for_problem(models.writer("strong"), problem)
    run = sample(reasoning_filter(writer, Odds()), jax.random.key(1), n=16)
    return run, grade(problem, run.particles.values).correct.mean()


run, accuracy = solve(4)
print(f"{accuracy:.2f} of the particles are right; log Z {run.particles.log_z:.2f}")
(run, accuracy), programs = programs_for(lambda: solve(7))
print(f"another problem: {accuracy:.2f} of the particles are right, programs compiled: {programs}")

# %% [markdown]
# ## 4. A posterior in one forward pass, then exact
#
# A Distribution Transformer reads a prior (a mixture of Gaussians) and data, and writes the posterior as such a
# mixture. Reweighting its draws by what they should weigh makes it exact, and a diagnosis says how far off it was.

# %%
dt = DistributionTransformer.load("linear_1d")
bimodal = GMM.of(weights=[0.4, 0.6], means=[[-1.0], [2.0]], covariances=[[[0.3]], [[0.5]]])


def update(y):
    """The network's posterior, and its draws with their weights."""
    data = LinearData(matrix=jnp.ones((1, 1)), y=jnp.array([y]), noise=jnp.array([0.8]))
    guess = dt(bimodal, data)
    return guess, sample(corrected(guess, bimodal, LinearLikelihood(data)), jax.random.key(2), n=4096)


guess, exact = update(1.2)
print(pi.diagnose(exact.particles))
(_, moved), programs = programs_for(lambda: update(-0.5))
print(f"other data: log Z {moved.particles.log_z:.3f}, programs compiled: {programs}")

# %% [markdown]
# ## 5. A model that knows what it does not know
#
# Told one expert's answer, a calibrated model of pairs changes its mind by as much as it did not know. From that come
# an error bar for each probability and a decoder that stays silent rather than exceed a bound on hallucinations.


# %%
def mixed_up(share):
    """Sure of class 0; of 1 and 2 one is impossible, unknown which."""
    weights = jnp.log(jnp.array([share, 1 - share]))
    return Mixture(weights, jnp.log(jnp.array([[0.6, 0.4, 0.0], [0.6, 0.0, 0.4]])))


def answers(share):
    """Responses by the model, of which the doubtful are withheld."""
    return sample(selective_filter(mixed_up(share), beta=0.05), jax.random.key(3), n=1000)


prediction = mixed_up(0.5)
print(f"probabilities {prediction.probabilities}, variance {prediction.variance}, doubt {1 - prediction.confidence}")
given = answers(0.5)
kept = given.particles.log_weights > -jnp.inf
print(f"answered {float(kept.mean()):.2f}, classes answered {sorted(set(given.particles.values[kept].tolist()))}")
_, programs = programs_for(lambda: answers(0.3))
print(f"another share, programs compiled: {programs}")

# %% [markdown]
# ## 6. What retrying can buy
#
# With enough attempts a fallible verifier accepts something nearly always. How often it is right has a ceiling, and
# whether another attempt pays is a sign, not a feeling.


# %%
def retrying(accuracy):
    """Shares of right and wrong answers after 20 attempts, the ceiling, and the best number of attempts."""
    tasks = Population(jnp.asarray(accuracy), 1.0, 0.25)
    outcomes = tasks.outcomes(20)
    return outcomes.correct, outcomes.wrong, tasks.ceiling, optimal_attempts(tasks, Payoff(1.0, 1.0))


retry = eqx.filter_jit(retrying)
print(
    "right {:.3f}, wrong {:.3f}, ceiling {:.3f}, best number of attempts {:g}".format(*retry(jnp.array([0.87, 0.14])))
)
_, programs = programs_for(lambda: retry(jnp.array([0.6, 0.3])))
print(f"other tasks, programs compiled: {programs}")
