"""Splitting and merging keep mean and covariance."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.distributions import (
    GMM,
    kl_quadrature_1d,
    merge_components,
    moment_match,
    pad_components,
    split_components,
)
from tests.distributions.mixtures import covariances, mixture, permuted, with_absent


def same_moments(a: GMM, b: GMM) -> None:
    for mine, theirs in zip(moments(a), moments(b), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-10)


def moments(gmm: GMM) -> tuple:
    """Mean and covariance from their definition; components without weight have none."""
    present = np.asarray(gmm.log_weights) > -np.inf
    w, means, within = np.exp(gmm.log_weights)[present], np.asarray(gmm.means)[present], covariances(gmm)[present]
    away = means - w @ means
    return w @ means, np.einsum("k,kij->ij", w, within + away[:, :, None] * away[:, None, :])


@pytest.mark.parametrize("times", [2, 5])
def test_parts_are_distinct_and_keep_each_components_moments(x64, times):
    gmm = mixture(0, 3, 2)
    parts = jax.jit(split_components, static_argnums=1)(gmm, times)
    same_moments(parts, gmm)
    means = np.asarray(parts.means).reshape(3, times, 2)
    apart = np.abs(means[:, :, None] - means[:, None]).max(-1) + np.eye(times)
    assert apart.min() > 0.05
    for k in range(3):
        mine = np.arange(k * times, (k + 1) * times)
        log_weights, means, scales = (np.asarray(a) for a in (parts.log_weights, parts.means, parts.scales))
        mean, covariance = moments(GMM(log_weights[mine] - float(gmm.log_weights[k]), means[mine], scales[mine]))
        np.testing.assert_allclose(mean, gmm.means[k], atol=1e-12)
        np.testing.assert_allclose(covariance, covariances(gmm)[k], atol=1e-12)


def test_a_split_gaussian_is_nearly_the_same_law(x64):
    """The divergence that the docstring states; it is largest for two parts."""
    one, grid = GMM([0.0], [[0.0]], [[[1.0]]]), jnp.linspace(-12.0, 12.0, 1001)

    @jax.jit
    def divergence(gmm):
        log_p, log_q = (jax.vmap(g.log_density)(grid[:, None]) for g in (gmm, split_components(gmm, 2)))
        return kl_quadrature_1d(log_p, log_q, grid)

    assert 0 < float(divergence(one)) < 5e-4


def bound(weights: list, means: list, matrices: list, i: int, j: int) -> float:
    """Runnalls' bound from its definition."""
    w = weights[i] + weights[j]
    away = (means[i] - means[j])[:, None]
    both = (weights[i] * matrices[i] + weights[j] * matrices[j]) / w + weights[i] * weights[j] / w**2 * away @ away.T
    logs = [np.linalg.slogdet(m)[1] for m in (both, matrices[i], matrices[j])]
    return 0.5 * (w * logs[0] - weights[i] * logs[1] - weights[j] * logs[2])


def merged_by_hand(gmm: GMM, components: int) -> list:
    """Weights and means, by lists and covariances."""
    weights, means, matrices = list(np.exp(gmm.log_weights)), list(np.asarray(gmm.means)), list(covariances(gmm))
    while len(weights) > components:
        pairs = itertools.combinations(range(len(weights)), 2)
        i, j = min(pairs, key=lambda pair: bound(weights, means, matrices, *pair))
        w, a, b = weights[i] + weights[j], weights[i], weights[j]
        mean = (a * means[i] + b * means[j]) / w
        second = [
            x * (c + np.outer(m - mean, m - mean))
            for x, m, c in zip((a, b), (means[i], means[j]), (matrices[i], matrices[j]), strict=True)
        ]
        weights[i], means[i], matrices[i] = w, mean, sum(second) / w
        for rows in (weights, means, matrices):
            del rows[j]
    return sorted([w, *m] for w, m in zip(weights, means, strict=True))


def listed(gmm: GMM) -> list:
    return sorted([w, *m] for w, m in zip(np.exp(gmm.log_weights), np.asarray(gmm.means), strict=True))


def test_merging_follows_the_bound_in_any_order_with_one_program(x64):
    merge = jax.jit(chex.assert_max_traces(lambda gmms: jax.vmap(lambda g: merge_components(g, 3))(gmms), n=1))
    for seeds in (range(4), range(4, 8)):
        plain = [mixture(seed, 7, 2) for seed in seeds]
        both = [plain, [permuted(gmm, [3, 1, 6, 0, 2, 5, 4]) for gmm in plain]]
        batches = [merge(jax.tree.map(lambda *leaves: np.stack(leaves), *gmms)) for gmms in both]
        for i, gmm in enumerate(plain):
            merged, again = (jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), batch) for batch in batches)
            same_moments(merged, gmm)
            np.testing.assert_allclose(listed(merged), merged_by_hand(gmm, 3), atol=1e-12)
            np.testing.assert_allclose(listed(again), listed(merged), atol=1e-12)
    chex.clear_trace_counter()


def test_absent_components_are_absorbed_for_nothing(x64):
    gmm = mixture(1, 5, 2)
    merged = merge_components(with_absent(pad_components(gmm, 6), np.nan), 5)
    np.testing.assert_allclose(listed(merged), listed(gmm), atol=1e-14)
    np.testing.assert_allclose(np.sort(covariances(merged), axis=0), np.sort(covariances(gmm), axis=0), atol=1e-13)


@pytest.mark.slow
def test_derivatives_of_merging_are_finite_whatever_absent_components_hold(x64):
    """One absent component is absorbed by the other, both by the first that is present, and two are merged."""

    @jax.jit
    def slope(gmm):
        return jax.grad(lambda g: jnp.sum(merge_components(g, 1).scales))(gmm)

    gmm = mixture(1, 2, 2)
    clean, *dirty = (slope(with_absent(with_absent(gmm, junk), junk)) for junk in (1.0, np.nan, np.inf))
    for found in dirty:
        for mine, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(clean), strict=True):
            np.testing.assert_array_equal(mine, theirs)
            assert np.isfinite(mine).all() and mine[2:].any() and not mine[:2].any()


def test_one_gaussian_has_the_mixtures_moments(x64):
    gmm = with_absent(mixture(2, 5, 2), np.inf)
    one = jax.jit(moment_match)(gmm)
    assert one.components == 1
    same_moments(one, gmm)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: split_components(g, 0), "at least 1"),
        (lambda g: split_components(g, 2, spread=1.0), "between 0 and 1"),
        (lambda g: merge_components(g, 0), "cannot be merged"),
        (lambda g: merge_components(g, 3), "split_components or pad_components"),
        (lambda g: pad_components(g, 1), "use merge_components"),
    ],
)
def test_errors_name_the_fix(call, message):
    with pytest.raises(ValueError, match=message):
        call(mixture(3, 2, 2))
