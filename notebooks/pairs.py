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
# # Knowing what one does not know
#
# A probability of one half may be a coin, or a fact that the model mixes up. One response to each input cannot tell
# these apart; two responses by two annotators can. This notebook predicts pairs, reads off how wrong each probability
# is, checks the promise against a known truth, and lets a decoder stay silent where it would break it.
#
# The system is that of arXiv 2402.08733; which prediction to use when is told in `docs/pairs.md`.

# %%
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import probinf as pi
from probinf.distributions import Categorical
from probinf.verifiers.pairs import (
    Ensemble,
    Mixture,
    MixtureHead,
    PairNetwork,
    PairTraining,
    PairVerifier,
    Perceptron,
    covered,
    error_ratio_bound,
    half_width,
    second_order_calibration_error,
    selective_filter,
    squared_error_from_pairs,
    train_pairs,
)

# %% [markdown]
# ## 1. A coin and a mixed-up fact
#
# Both predictions below say one half. Told one response, the first stays where it was, the second changes its mind: the
# change is the epistemic variance.

# %%
coin = Mixture(jnp.zeros(1), jnp.log(jnp.array([[0.5, 0.5]])))
fact = Mixture(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([[0.99, 0.01], [0.01, 0.99]])))
for name, prediction in (("coin", coin), ("fact", fact)):
    print(f"{name}: p {prediction.probabilities}, variance {prediction.variance}, confidence {prediction.confidence}")

# %% [markdown]
# ## 2. A world that a small network must underfit
#
# The chance of a 1 swings ever faster from left to right. Change `chance`, the heads or the settings, and run on: data
# and seeds of the same shapes do not compile anew.


# %%
def chance(x):
    """p(y = 1 | x) for x in [0, 1)."""
    return 0.5 + 0.42 * jnp.sin(2 * jnp.pi * (1.2 * x + 40 * x**5))


def draw(key, responses):
    """An input as the network sees it, and independent responses to it."""
    x_key, y_key = jax.random.split(key)
    x = jax.random.uniform(x_key)
    return (4 * x - 2)[None], jax.random.bernoulli(y_key, chance(x), (responses,)).astype(int)


def network(rngs, components):
    """Two hidden layers and a mixture of distributions."""
    return PairNetwork(Perceptron(1, 32, 2, rngs), MixtureHead(32, 2, rngs, components=components))


settings = PairTraining(steps=1200, batch=256)
paired, losses = train_pairs(jax.random.key(0), partial(network, components=8), partial(draw, responses=2), settings)
single = partial(network, components=1)
members = eqx.filter_vmap(lambda key: train_pairs(key, single, partial(draw, responses=1), settings)[0])
ensemble = Ensemble(members(jax.random.split(jax.random.key(1), 4)))

x = jnp.linspace(0, 1, 2000, endpoint=False)
truth = chance(x)


@eqx.filter_jit
def look(model):
    """Probability of a 1 and its epistemic variance, over the inputs."""
    found = jax.vmap(lambda x: (model(x).probabilities[1], model(x).variance[1]))((4 * x - 2)[:, None])
    return found


figure, panels = plt.subplots(1, 2, figsize=(11, 3), sharey=True)
for axes, (name, model) in zip(panels, (("taught by pairs", paired), ("ensemble of four", ensemble)), strict=True):
    p, v = look(model)
    error = p - truth
    axes.plot(x, truth, color="0.6", linewidth=0.8)
    axes.plot(x, p, color="C0")
    axes.fill_between(x, p - jnp.sqrt(v / 0.25), p + jnp.sqrt(v / 0.25), alpha=0.2, linewidth=0)
    axes.set_title(name)
    axes.set_ylim(-0.3, 1.3)
    print(
        f"{name}: mean variance {v.mean():.4f}, mean squared error {jnp.mean(error**2):.4f}, "
        f"ECE-2 {second_order_calibration_error(v, error**2):.4f}, "
        f"95 % intervals hold {jnp.mean(covered(v, error, 0.05)):.3f}"
    )
plt.show()

# %% [markdown]
# ## 3. Without knowing the truth
#
# Pairs that were held out estimate the squared error without bias, and bound it for any model, calibrated or not.

# %%
inputs, responses = jax.vmap(partial(draw, responses=2))(jax.random.split(jax.random.key(2), 4000))
p, v = jax.vmap(lambda x: (paired(x).probabilities[1], paired(x).variance[1]))(inputs)
first, second = responses[:, 0] == 1, responses[:, 1] == 1
print(f"squared error from pairs {squared_error_from_pairs(p, first, second).mean():.4f}, variance {v.mean():.4f}")
bound = error_ratio_bound(p, v, first, second)
print(f"error over variance is at most {bound:.2f}; half width at 95 %: {half_width(bound, v, 0.05).mean():.2f}")

# %% [markdown]
# ## 4. To answer, or to stay silent
#
# A decoder answers only what it would repeat; its law is exact, and its mass is the chance to answer.

# %%
facts = Mixture(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([[0.6, 0.4, 0.0], [0.6, 0.0, 0.4]])))
decoder = selective_filter(facts, beta=0.05)
result = pi.sample(decoder, jax.random.key(3), n=1000)
print("answered", float(jnp.exp(result.particles.log_z)), "law", decoder.meaning(pi.Measure()).name)

# %% [markdown]
# The same doubt as a verifier of anything that holds an answer: here of draws from a uniform proposal.

# %%
uniform = pi.Draw(Categorical(np.zeros(3), name="uniform"))
verified = pi.Verified(uniform, PairVerifier(lambda answer: facts, lambda answer: answer, 0.05), budget=4)
cloud = pi.sample(verified, jax.random.key(4), n=1000).particles
print("accepted answers", np.unique(cloud.values[cloud.log_weights > -jnp.inf]), "mass", float(jnp.exp(cloud.log_z)))
