"""How many samples a test that may be looked at any time needs before it notices that a claim is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key, choice
from probinf._particles import spawn
from probinf._sampler import Kernel, Sampler
from probinf.validity._betting import log_wealth_of_categories, samples_to_alarm
from probinf.validity._eprocess import log_wealth_of_mean
from probinf.validity._law import enumerate_law
from probinf.validity._proper import check_proper_weighting
from probinf.validity._ranks import check_counts, replicated
from probinf.validity._report import KernelCase, SamplerCase, _atom_tests, _matches
from probinf.validity._statistical import _unnormalised_means

# Above the largest estimate by this much, for float32 against float64.
_ROUNDING = 1e-5


def log_wealth_of_kernel(
    kernel: Kernel, states: Any, log_target: Float[Array | np.ndarray, " S"], key: PRNGKeyArray, *, samples: int = 4096
) -> Float[Array, " samples"]:
    """Log-wealth, after each transition, of a gambler who bets that a kernel on finitely many states moves its target.

    Law: each sample starts at a fresh draw from `exp(log_target)` and makes one transition. If the kernel keeps the
    target, its end has that law, and P(wealth ever >= 1/alpha) <= alpha. An end outside the listed states (leading
    axis S) makes the wealth infinite.

    Raises: TypeError for a legacy key; ValueError for no sample.
    """
    check_counts(samples=(samples, 1))
    states, log_target = jax.tree.map(jnp.asarray, states), jnp.asarray(log_target, float)

    def one(key: PRNGKeyArray, kernel: Kernel, states: Any, log_target: Array) -> Int[Array, ""]:
        start_key, move_key = jax.random.split(key)
        start = choice(start_key, log_target)
        end = kernel(move_key, jax.tree.map(lambda leaf: leaf[start], states))[0]
        same = _matches(states, end)
        return jnp.where(jnp.any(same), jnp.argmax(same), same.shape[0]).astype(jnp.int32)

    ends = replicated(jax.tree_util.Partial(one, kernel=kernel, states=states, log_target=log_target), key, samples)
    return log_wealth_of_categories(ends, log_target)


def log_wealth_of_sampler(
    sampler: Sampler,
    n: int,
    tests: Callable[[Any], Float[Array, " K"]],
    expected: Float[np.ndarray, " K"],
    key: PRNGKeyArray,
    *,
    upper: Float[np.ndarray, " K"],
    samples: int = 4096,
) -> Float[Array, " samples"]:
    """Log-wealth, after each run, of a gambler who bets that E[Z-hat * mean of f_k] is not `expected_k`, for some k.

    Law: if every mean is as expected, and no estimate ever exceeds `upper_k`, P(wealth ever >= 1/alpha) <= alpha. The
    stake is divided equally over the K tests. An estimate below zero or above its bound makes the wealth infinite. On
    finite models `largest_estimates` gives the bounds; elsewhere they have to be proved.

    Raises: TypeError for a legacy key; ValueError for no sample, or a mean that is not within its bounds.
    """
    check_counts(samples=(samples, 1))
    means, bounds = np.asarray(expected, float), np.asarray(upper, float)
    if not np.all((means > 0) & (means <= bounds)):
        raise ValueError(f"each mean must lie above zero and not above its bound, got {means} and bounds {bounds}")
    x = replicated(jax.tree_util.Partial(_estimate, sampler=sampler, n=n, tests=tests), key, samples)
    bounds, means = jnp.asarray(bounds, x.dtype) * (1 + _ROUNDING), jnp.asarray(means, x.dtype)
    inside = jnp.clip(x, 0.0, bounds[None])
    wealth = jax.vmap(lambda column, mean, bound: log_wealth_of_mean(column, mean, upper=bound), (1, 0, 0), 1)(
        inside, means, bounds
    )
    outside = jnp.cumsum((inside != x).astype(jnp.int32), axis=0) > 0
    wealth = jnp.where(outside, jnp.inf, wealth)
    return jax.nn.logsumexp(wealth, axis=1) - jnp.log(jnp.asarray(wealth.shape[1], wealth.dtype))


def largest_estimates(
    sampler: Sampler, n: int, tests: Callable[[Any], Float[Array, " K"]], *, limit: int = 2_000_000
) -> Float[np.ndarray, " K"]:
    """The largest value that Z-hat * mean of f_k takes in any world of a sampler whose randomness is discrete.

    Raises: NotEnumerable, TooManyWorlds, KeyReuseError.
    """

    def run(key: PRNGKeyArray, sampler: Sampler) -> Float[Array, " K"]:
        return _estimate(key, sampler=sampler, n=n, tests=tests)

    return np.max(enumerate_law(run, jax.random.key(0), sampler, limit=limit).outputs, axis=0)


def samples_until_alarm(
    case: SamplerCase | KernelCase, key: PRNGKeyArray, *, samples: int = 4096, alpha: float = 1e-3
) -> int:
    """How many independent runs of a case's compiled sampler or kernel its e-process needs to alarm; -1 if more.

    Law: for a case that is right, P(the result is not -1) <= alpha: see `bet_on`.

    Raises: ValueError for a case that is read on a grid or by moments; NotEnumerable, TooManyWorlds, KeyReuseError.
    """
    check_key(key)
    return int(samples_to_alarm(bet_on(case, samples=samples)(key), alpha))


def bet_on(
    case: SamplerCase | KernelCase, *, samples: int = 4096
) -> Callable[[PRNGKeyArray], Float[Array, " samples"]]:
    """The e-process of a case, as a function of the key that may be compiled once for many keys.

    Law: for a case that is right, P(wealth ever >= 1/alpha) <= alpha. Kernels make one transition from their target
    each; samplers are tested on their evidence and heaviest atoms. The bounds of the estimates are twice what
    enumeration of the case gives: a bound at the claimed mean itself would be a proof, not a sample.

    Raises: ValueError for a case that is read on a grid or by moments; NotEnumerable, TooManyWorlds, KeyReuseError.
    """
    if case.grid or (isinstance(case, SamplerCase) and case.expectations is not None):
        raise ValueError(
            f"'{case.name}' has no finite law to bet on: call log_wealth_of_sampler with bounds of your own"
        )
    if isinstance(case, KernelCase):
        kernel, states, log_target = case.kernel, case.states, case.log_target
        return lambda key: log_wealth_of_kernel(kernel, states, log_target, key, samples=samples)
    sampler, n = case.sampler, case.n
    tests, expected = _atom_tests(check_proper_weighting(sampler, n, target=case.target).target)
    upper = 2.0 * np.maximum(largest_estimates(sampler, n, tests), expected)
    return lambda key: log_wealth_of_sampler(sampler, n, tests, expected, key, upper=upper, samples=samples)


def _estimate(key: PRNGKeyArray, *, sampler: Sampler, n: int, tests: Callable) -> Float[Array, " K"]:
    return _unnormalised_means(sampler(key, spawn(n))[0], tests)
