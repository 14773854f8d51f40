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
# # Distribution Transformers
#
# A prior and data in, a posterior out, in one forward pass; and the posterior is of the same kind as the prior, so it
# can be the next prior. This notebook changes the prior on the fly, makes the answer exact by reweighting, lets the
# library say when not to trust it, and follows a stream of data. Data and priors change without compiling anew.
#
# The system is that of arXiv 2502.02463; what its text and code leave open or get wrong is told in `docs/errata.md`.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import probinf as pi
from probinf.distributions import GMM
from probinf.transformers_dist import DistributionTransformer, MixtureFilter, corrected
from probinf.transformers_dist.families import LinearData, LinearLikelihood, exact_linear, linear_evidence

# %% [markdown]
# ## 1. A posterior in one forward pass
#
# A prior with three components on the line, and three noisy observations. For this family the exact posterior is known,
# so the answer can be held against it.

# %%
dt = DistributionTransformer.load("linear_1d")
prior = GMM.of(
    weights=[0.3, 0.5, 0.2], means=[[-2.0], [0.5], [2.5]], covariances=[[[0.3]], [[0.5]], [[0.1]]], name="prior"
)
data = LinearData(matrix=jnp.ones((3, 1)), y=jnp.array([1.9, 0.7, 1.6]), noise=jnp.array([1.0, 0.9, 0.7]))
posterior = dt(prior, data)
exact = exact_linear(prior, data)

x = jnp.linspace(-4, 5, 400)[:, None]
figure, axes = plt.subplots(figsize=(7, 3))
for gmm, label, style in ((prior, "prior", ":"), (exact, "exact posterior", "-"), (posterior, "transformer", "--")):
    axes.plot(x[:, 0], np.exp(jax.vmap(gmm.log_density)(x)), style, label=label)
axes.legend(frameon=False)
print("mean", posterior.mean, "exact", exact.mean)

# %% [markdown]
# Another prior, the same data, nothing compiled anew. Networks that were trained for one prior cannot do this.

# %%
other = GMM.of([0.6, 0.1, 0.3], [[-1.0], [3.0], [0.0]], [[[0.5]], [[0.2]], [[2.0]]], "prior")
print("mean", dt(other, data).mean, "exact", exact_linear(other, data).mean)

# %% [markdown]
# ## 2. Exact by reweighting
#
# A forward pass is an approximation: its law is its own. Drawing from it and weighing by what it is off gives a sampler
# that means prior times likelihood, with an unbiased estimate of the evidence, however good or bad the network is.

# %%
sampler = corrected(posterior, prior, LinearLikelihood(data))
print(sampler.meaning(pi.Measure()).name, sampler.meaning(pi.Measure()).guarantee)
result = pi.sample(sampler, jax.random.key(0), n=4096)
print("log Z", result.particles.log_z, "exact", linear_evidence(prior, data))
print(pi.diagnose(result.particles))

# %% [markdown]
# Far outside the priors it was trained on the network may be wrong. The weights know: the diagnosis flags the answer,
# and the estimate is still unbiased.

# %%
strange = LinearData(matrix=jnp.ones((3, 1)), y=jnp.array([30.0, 30.1, 29.9]), noise=jnp.array([0.01, 0.01, 0.01]))
cloud = pi.sample(corrected(dt(prior, strange), prior, LinearLikelihood(strange)), jax.random.key(0), n=4096).particles
flagged = pi.diagnose(cloud)
print("ESS / draws", flagged.ess, "Pareto k", flagged.pareto_k, "reliable", bool(flagged.reliable))

# %% [markdown]
# What cannot be seen through the weights of the network is refused, with the fix in the message.

# %%
try:
    dt(GMM.of([1.0], [[0.0, 0.0]], [np.eye(2)]), data)
except ValueError as error:
    print(error)

# %% [markdown]
# ## 3. The posterior is the next prior
#
# Ten observations one after another, in two dimensions, with a prior of four components: after each, the transformer's
# posterior is its next prior. The error does accumulate, and can be measured, for the exact chain is known too.

# %%
plane = DistributionTransformer.load("linear_2d")
rng = np.random.default_rng(0)
belief = truth = GMM.of(
    np.full(4, 0.25), [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], 0.3 * np.stack([np.eye(2)] * 4)
)
for _ in range(10):
    row = rng.normal(size=(1, 2)) / 2**0.5
    one = LinearData(jnp.asarray(row), jnp.asarray(row @ [0.8, -0.6]) + 0.7 * rng.normal(), jnp.array([0.7]))
    belief, truth = plane(belief, one), exact_linear(truth, one)
print("after ten updates: mean", belief.mean, "exact", truth.mean)

# %% [markdown]
# ## 4. A filter
#
# With a linear motion the prediction is exact, and the network takes in each observation. The filter starts from
# distinct components: copies of one Gaussian would stay copies, because the network treats components alike.

# %%
motion = MixtureFilter(plane, jnp.array([[1.0, 0.5], [0.0, 0.9]]), 0.2 * jnp.eye(2), components=4)
steps = 100
observed = LinearData(
    jnp.tile(jnp.array([[[1.0, 0.0]]]), (steps, 1, 1)),
    jnp.asarray(np.sin(np.arange(steps) / 8)[:, None] + 0.5 * rng.normal(size=(steps, 1))),
    jnp.full((steps, 1), 0.5),
)
states = jax.jit(lambda data: motion.run(motion.start(jnp.zeros(2), jnp.eye(2)), data))(observed)
means, covariances = jax.vmap(lambda gmm: (gmm.mean, gmm.covariance))(states)
kalman = MixtureFilter(exact_linear, motion.transition, motion.noise_scale, components=1)
right = jax.jit(lambda data: kalman.run(kalman.start(jnp.zeros(2), jnp.eye(2)), data))(observed)
figure, axes = plt.subplots(figsize=(7, 3))
axes.plot(observed.y[:, 0], ".", color="#999999", label="observed")
axes.plot(means[:, 0], label="transformer")
axes.plot(right.means[:, 0, 0], "--", label="Kalman")
axes.legend(frameon=False)
gap = float(jnp.abs(means - right.means[:, 0]).max() / jnp.sqrt(covariances[:, 0, 0]).min())
print(f"100 steps; largest distance of a mean from Kalman's: {gap:.2f} posterior deviations")

# %% [markdown]
# The figures with all numbers: `probinf figures distribution_transformer`. To train one of your own, write a `Family`
# (a meta-prior and a simulator) and call `train`; the recipes of the shipped ones are in `RECIPES`.
