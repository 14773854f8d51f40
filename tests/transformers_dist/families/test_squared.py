"""Squares: both signs found, one look for every unit and sign, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.distributions import GMM
from probinf.transformers_dist.families import SquaredData, SquaredLikelihood, SquaredView, exact_squared, squared
from probinf.transformers_dist.families._squared import pooled

PRIOR = ([0.3, 0.7], [[-2.0], [1.0]], [[[0.5]], [[2.0]]])


exact = jax.jit(exact_squared, static_argnames=("nodes", "rounds"))


def prior(scale: float = 1.0) -> GMM:
    weights, means, covariances = (jnp.asarray(part) for part in PRIOR)
    return GMM.of(weights, scale * means, scale**2 * covariances)


@jax.jit
def by_brute_force(law: GMM, data: SquaredData):
    grid = jnp.linspace(-15.0, 15.0, 60001)
    logs = jax.vmap((law * SquaredLikelihood(data)).log_density)(grid[:, None])
    return grid, jnp.exp(logs - jax.nn.logsumexp(logs)), jax.nn.logsumexp(logs) + jnp.log(grid[1] - grid[0])


@pytest.mark.parametrize("y", [[9.0, 8.8, 9.1, 9.05], [-0.6, 0.1, 0.2, -0.1], [60.0, 60.2, 59.9, 60.4]])
def test_points_find_both_signs(x64, y):
    data = SquaredData(jnp.asarray([*y, 0.0]), jnp.asarray([0.3, 0.5, 0.3, 0.8, jnp.inf]))
    grid, density, log_evidence = (np.asarray(part) for part in by_brute_force(prior(), data))
    for nodes, rounds, tolerance in ((96, 2, 0.02), (1024, 4, 3e-4)):
        points, log_weights, found = exact(prior(), data, nodes=nodes, rounds=rounds)
        weights, x = np.exp(np.asarray(log_weights)), np.asarray(points[:, 0])
        assert float(found) == pytest.approx(float(log_evidence), abs=tolerance)
        assert weights @ np.tanh(x) == pytest.approx(density @ np.tanh(grid), abs=tolerance)
        assert weights @ x**2 == pytest.approx(density @ grid**2, rel=tolerance)


def test_data_enter_by_their_pooled_square(x64):
    data = SquaredData(jnp.asarray([1.0, 2.0, 9.0]), jnp.asarray([0.5, 1.0, jnp.inf]))
    mean, precision = pooled(data)
    assert (mean, precision) == (pytest.approx(1.2), pytest.approx(5.0))
    x = jnp.linspace(-2.0, 2.0, 5)
    gaps = jax.vmap(SquaredLikelihood(data).log_density)(x[:, None]) + 0.5 * precision * (x**2 - mean) ** 2
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-12)


def test_look_does_not_depend_on_the_unit_and_swaps_rows_with_the_sign(x64):
    view = SquaredView(5)
    data = SquaredData(jnp.asarray([3.0, 2.0]), jnp.asarray([0.5, 0.7]))
    looks = [
        view.look(prior(unit), SquaredData(unit**2 * data.y, unit**2 * data.noise), view.frame(prior(unit)))
        for unit in (1.0, 3.0)
    ]
    for one, other in zip(jax.tree.leaves(looks[0]), jax.tree.leaves(looks[1]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)
    mirrored = GMM(prior().log_weights, -prior().means, prior().scales)
    turned = view.look(mirrored, data, view.frame(mirrored))
    signs = np.asarray([[1.0, -1, -1, 1]] * 2)
    np.testing.assert_allclose(turned.rows[::-1], looks[0].rows * signs, atol=1e-10)


def test_rows_are_tangents_of_the_square_far_from_zero(x64):
    data = SquaredData(jnp.asarray([400.0]), jnp.asarray([0.5]))
    wide = GMM.of(jnp.ones(1), jnp.asarray([[18.0]]), jnp.asarray([[[4.0]]]))
    view = SquaredView(5)
    rows = view.look(wide, data, view.frame(wide)).rows
    # y = 400 + 40 (x - 20), in units of the noise, with x = 18 + 2 u.
    np.testing.assert_allclose(rows[0, :2], [40 * 2 / 0.5, 40 * 2 / 0.5], rtol=1e-4)


def test_unknowns_of_problems_have_uniform_ranks():
    family = squared()
    keys = jax.random.split(jax.random.key(5), 400)
    problems = jax.jit(jax.vmap(family.draw))(keys)
    # The unknown is drawn from the second of the keys that `draw` makes.
    unknown = jax.vmap(lambda key, law: law.sample(jax.random.split(key, 6)[1], ())[0])
    x = jax.jit(unknown)(keys, problems.prior)
    ranks = jnp.sum(jnp.exp(problems.log_weights) * (problems.points[:, :, 0] < x[:, None]), axis=1)
    counts = np.histogram(np.asarray(ranks), bins=8, range=(0, 1))[0]
    # Chi-squared with 7 degrees of freedom: 26 at one in two thousand.
    assert ((counts - 50) ** 2 / 50).sum() < 26


def test_bad_input_is_named():
    view = SquaredView(5)
    with pytest.raises(ValueError, match="no observations"):
        view.check(prior(), SquaredData(jnp.zeros(2), jnp.full(2, jnp.inf)))
    with pytest.raises(ValueError, match="must be finite"):
        view.check(prior(), SquaredData(jnp.asarray([jnp.nan]), jnp.ones(1)))
    with pytest.raises(ValueError, match="positive standard deviation"):
        view.check(prior(), SquaredData(jnp.zeros(1), jnp.zeros(1)))
    with pytest.raises(ValueError, match="at most 1 components"):
        SquaredView(1).check(prior(), SquaredData(jnp.zeros(1), jnp.ones(1)))
