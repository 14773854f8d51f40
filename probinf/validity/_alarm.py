"""How many samples a test that may be looked at any time needs before it notices that a claim is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from probinf._choice import check_key, choice
from probinf._particles import spawn
from probinf._sampler import Kernel, Sampler
from probinf._signed import sign_of, value_of
from probinf.validity._betting import log_wealth_of_categories, samples_to_alarm
from probinf.validity._case import KernelCase, SamplerCase, atom_tests, matches
from probinf.validity._eprocess import log_wealth_of_mean
from probinf.validity._finite import FiniteMeasure
from probinf.validity._law import EnumeratedLaw, read_law
from probinf.validity._proper import exact_check, fresh, program_of
from probinf.validity._ranks import check_counts, replicated
from probinf.validity._statistical import unnormalized_means

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
        same = matches(states, end, log_target.shape[0])
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
    lower: Float[np.ndarray, " K"] | float = 0.0,
    log_scale: float = 0.0,
    samples: int = 4096,
) -> Float[Array, " samples"]:
    """Log-wealth, after each run, of a gambler who bets that E[Z-hat * mean of f_k] is not `expected_k`, for some k.

    Law: if every mean is as expected, and no estimate ever leaves [lower_k, upper_k], P(wealth ever >= 1/alpha) <=
    alpha. The stake is divided equally over the K tests. An estimate outside its bounds, or NaN, makes the wealth
    infinite. On finite models `largest_estimates` gives the bounds; elsewhere they have to be proved. `lower` is below
    zero only for `Signed` values. Estimates and `expected` are relative to exp(log_scale), so that no mass overflows.

    Raises: TypeError for a legacy key; ValueError for no sample, or a mean that is not within its bounds.
    """
    check_counts(samples=(samples, 1))
    means, high = np.asarray(expected, float), np.asarray(upper, float)
    low = np.broadcast_to(np.asarray(lower, float), means.shape)
    if not np.all((means > low) & (means <= high)):
        raise ValueError(
            f"each mean must lie above its lower bound and not above its bound, got {means}, bounds {low} and {high}"
        )
    estimate = jax.tree_util.Partial(_estimate, sampler=sampler, n=n, tests=tests, log_scale=log_scale)
    return _log_wealth(replicated(estimate, key, samples), means - low, low, high - low)


@eqx.filter_jit
def _log_wealth(x: Float[Array, "R K"], means: Any, low: Any, widths: Any) -> Float[Array, " R"]:
    """The wealth of all tests together, on estimates whose bounds are `low` and `low + widths`."""
    x = x - jnp.asarray(low, x.dtype)[None]
    bounds, means = jnp.asarray(widths, x.dtype) * (1 + _ROUNDING), jnp.asarray(means, x.dtype)
    inside = jnp.clip(x, 0.0, bounds[None])
    wealth = jax.vmap(lambda column, mean, bound: log_wealth_of_mean(column, mean, upper=bound), (1, 0, 0), 1)(
        inside, means, bounds
    )
    # Written so that NaN is outside.
    outside = jnp.cumsum((inside != x).astype(jnp.int32), axis=0) > 0
    wealth = jnp.where(outside, jnp.inf, wealth)
    return jax.nn.logsumexp(wealth, axis=1) - jnp.log(jnp.asarray(wealth.shape[1], wealth.dtype))


def largest_estimates(
    sampler: Sampler, n: int, tests: Callable[[Any], Float[Array, " K"]], *, limit: int = 2_000_000
) -> Float[np.ndarray, " K"]:
    """The largest value that Z-hat * mean of f_k takes in any world of a sampler whose randomness is discrete.

    Raises: NotEnumerable, TooManyWorlds, KeyReuseError.
    """

    with jax.enable_x64(True):
        law = read_law(program_of(sampler, fresh(n), limit=limit))
    return estimate_bounds(law, tests)[1]


def estimate_bounds(
    law: EnumeratedLaw, tests: Callable[[Any], Float[Array, " K"]], log_scale: float = 0.0
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """The smallest and the largest estimate of each test over the worlds of a law of clouds, relative to a scale."""
    with jax.enable_x64(True):
        found = np.asarray(_estimates_of(law.outputs[0], law.outputs[1], tests, log_scale))
    return found.min(axis=0), found.max(axis=0)


@eqx.filter_jit
def _estimates_of(values: Any, log_mass: Any, tests: Callable, log_scale: Any) -> Float[Array, "worlds K"]:
    def one(values: Any, log_mass: Array) -> Float[Array, " K"]:
        f = jax.vmap(tests, axis_size=log_mass.shape[0])(value_of(values))
        weights = jnp.exp(log_mass - log_scale)
        signed = weights * sign_of(values)
        return jnp.sum(signed[:, None] * jnp.where(weights[:, None] > 0, f, 0.0), axis=0)

    return jax.vmap(one)(jax.tree.map(jnp.asarray, values), jnp.asarray(log_mass))


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
    check, law = exact_check(sampler, n, case.target)
    return bet_on_law(sampler, n, check.target, law, samples=samples)


def bet_on_law(
    sampler: Sampler, n: int, target: FiniteMeasure, law: EnumeratedLaw, *, samples: int
) -> Callable[[PRNGKeyArray], Float[Array, " samples"]]:
    """The e-process of a sampler whose law was read already."""
    tests, expected = atom_tests(target)
    log_scale = target.log_total
    smallest, largest = estimate_bounds(law, tests, log_scale)
    upper = 2.0 * np.maximum(np.maximum(largest, expected), 1e-6)
    lower = np.where(np.minimum(smallest, expected) < 0, 2.0 * np.minimum(smallest, expected), 0.0)
    known = expected > lower
    if not np.all(known):
        tests, expected, lower, upper = _Some(tests, np.flatnonzero(known)), expected[known], lower[known], upper[known]
    return lambda key: log_wealth_of_sampler(
        sampler, n, tests, expected, key, upper=upper, lower=lower, log_scale=log_scale, samples=samples
    )


class _Some(eqx.Module):
    """Some of the tests."""

    tests: Callable
    chosen: tuple[int, ...] = eqx.field(static=True, converter=lambda x: tuple(int(i) for i in x))

    def __call__(self, x: Any) -> Float[Array, " K"]:
        return jnp.stack([self.tests(x)[i] for i in self.chosen])


def _estimate(
    key: PRNGKeyArray, *, sampler: Sampler, n: int, tests: Callable, log_scale: Any = 0.0
) -> Float[Array, " K"]:
    return unnormalized_means(sampler(key, spawn(n))[0], tests, log_scale)
