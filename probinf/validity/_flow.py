"""The statistical form of reversibility: as much flows from here to there as back.

Law checked: for x drawn from the target and x' one transition from it, E[f(x, x')] = E[f(x', x)] for every f. In the
words of the Metropolis-Hastings-Green theorem, the flow of accepted moves is symmetric; unlike the check at points this
also sees proposals that are not drawn from the density they state, and proposals without one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from probinf._choice import check_key
from probinf._measure import Distribution, as_distribution
from probinf._sampler import Kernel
from probinf.validity._statistical import MeanCheck


def check_reversible(
    kernel: Kernel,
    target: Any,
    tests: Callable[[Any], Float[Array, " K"]],
    key: PRNGKeyArray,
    *,
    replicates: int = 16384,
) -> MeanCheck:
    """Tests E[g(x) h(x') - h(x) g(x')] = 0 for all pairs g, h of the K test functions and the constant one.

    `target` is a distribution of which exact draws can be had. With h = 1 the pairs test that the kernel keeps the
    target, with two functions that it is reversible as well. Each mean gets a two-sided z-test; the p-value is
    Bonferroni's over all K (K + 1) / 2, so `p_value < alpha` has a false-alarm rate of at most alpha up to the normal
    approximation: use bounded or light-tailed functions.

    Raises: TypeError for a legacy key, or a target that cannot be drawn from.
    """
    check_key(key)
    flows = np.asarray(_flows(kernel, as_distribution(target), tests, key, replicates), np.float64)
    means, errors = flows.mean(axis=0), flows.std(axis=0, ddof=1) / np.sqrt(replicates)
    z = np.abs(means) / np.maximum(errors, np.finfo(np.float64).tiny)
    p_value = min(1.0, len(z) * min(math.erfc(value / math.sqrt(2.0)) for value in z))
    return MeanCheck(p_value, means, errors, np.zeros_like(means))


@eqx.filter_jit
def _flows(
    kernel: Kernel, target: Distribution, tests: Callable, key: PRNGKeyArray, replicates: int
) -> Float[Array, "R pairs"]:
    def one(key: PRNGKeyArray) -> Array:
        draw_key, move_key = jax.random.split(key)
        x = target.sample(draw_key, ())
        here, there = (jnp.concatenate([jnp.ones(1), tests(v)]) for v in (x, kernel(move_key, x)[0]))
        flow = jnp.outer(here, there)
        return (flow - flow.T)[jnp.triu_indices(len(here), 1)]

    return jax.vmap(one)(jax.random.split(key, replicates))
