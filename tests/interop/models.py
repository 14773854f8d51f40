"""Numpyro models that the tests of this folder share."""

from typing import Any

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.contrib.control_flow import scan

# A type checker takes numpyro's samples for numbers of any kind.
draw: Any = numpyro.sample

EFFECTS = jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def schools(errors, effects=None):
    mean = draw("mean", dist.Normal(0.0, 10.0))
    log_spread = draw("log_spread", dist.Normal(5.0, 1.0))
    with numpyro.plate("schools", len(errors)):
        standard = draw("standard", dist.Normal(0.0, 1.0))
        effect = numpyro.deterministic("effect", mean + jnp.exp(log_spread) * standard)
        draw("observed", dist.Normal(effect, errors), obs=effects)


def supports(x, y=None, groups=3):
    """Every kind of support at once, one of them dependent on another site, and a factor."""
    scale = draw("scale", dist.HalfNormal(2.0))
    broken = dist.Normal(0.0, 1.0).expand([3]).to_event(1)
    weights = draw("weights", dist.TransformedDistribution(broken, dist.transforms.StickBreakingTransform()))
    factor = draw("cholesky", dist.LKJCholesky(3, 1.5))
    low = draw("low", dist.Uniform(0.0, scale))
    base = dist.Normal(0.0, 1.0).expand([3]).to_event(1)
    ordered = draw("ordered", dist.TransformedDistribution(base, dist.transforms.OrderedTransform()))
    with numpyro.plate("groups", groups):
        level = draw("level", dist.Normal(low, scale))
    numpyro.factor("penalty", -scale * low)
    with numpyro.plate("data", len(x)):
        mean = level[0] * x + weights[0] + factor[1, 0] + ordered[0]
        draw("y", dist.Normal(mean, scale), obs=y)


def scanned(y):
    """Latent sites inside a loop."""
    scale = draw("scale", dist.HalfNormal(1.0))

    def step(x, value):
        x = draw("x", dist.Normal(x, scale))
        rate = draw("rate", dist.HalfNormal(1.0))
        draw("y", dist.Normal(x, rate), obs=value)
        return x, None

    scan(step, 0.0, y)


def line(y=None, scale=2.0):
    """One positive latent value; the joint is easy to integrate."""
    x = draw("x", dist.Gamma(3.0, 1.5))
    draw("y", dist.Normal(x, scale), obs=y)


def gaussian(y=None, prior_scale=1.0, scale=0.5):
    """Conjugate: log-evidence in closed form."""
    x = draw("x", dist.Normal(0.0, prior_scale))
    draw("y", dist.Normal(x, scale), obs=y)
