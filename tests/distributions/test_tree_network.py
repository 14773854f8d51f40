"""Conditionals of a tree of binary variables, against the enumeration of all its values."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf.distributions import TreeNetwork, next_hops, path_between, random_tree_network, tree_distances


@pytest.mark.parametrize("chain", [False, True])
def test_marginals_and_conditionals_are_those_of_the_joint(x64, chain):
    net = random_tree_network(jax.random.key(1), 6, chain=chain)
    every = np.array(list(itertools.product((0, 1), repeat=6)), np.int32)
    p = np.exp(jax.vmap(net.log_density)(jnp.asarray(every)))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    ones = every == 1
    marginals = np.stack([p @ ~ones, p @ ones], axis=1)
    np.testing.assert_allclose(np.exp(net.log_marginals()), marginals, atol=1e-12)
    found = np.exp(net.log_conditionals())
    for i, a, j, b in itertools.product(range(6), (0, 1), range(6), (0, 1)):
        truth = p[(every[:, i] == a) & (every[:, j] == b)].sum() / marginals[i, a]
        assert found[i, a, j, b] == pytest.approx(truth, abs=1e-12)


def test_paths_hops_and_distances_are_those_of_the_tree():
    parents = jnp.array([0, 0, 0, 1, 1, 4])
    hop = next_hops(parents)
    assert path_between(hop, jnp.int32(5), jnp.int32(2)).tolist() == [4, 1, 0, -1]
    assert path_between(hop, jnp.int32(0), jnp.int32(2)).tolist() == [-1] * 4
    distances = tree_distances(hop)
    assert distances[5].tolist() == [3, 2, 4, 3, 1, 0]
    assert (distances == distances.T).all()


def test_samples_have_the_stated_law():
    net = random_tree_network(jax.random.key(2), 4, least=0.1)
    x = np.asarray(jax.vmap(lambda k: net.sample(k, ()))(jax.random.split(jax.random.key(0), 20_000)))
    every = np.array(list(itertools.product((0, 1), repeat=4)), np.int32)
    share = (x[:, None] == every).all(axis=-1).mean(axis=0)
    p = np.exp(jax.vmap(net.log_density)(jnp.asarray(every)))
    # Five standard errors of each of the 16 cells: a false alarm in 16 * 6e-7.
    assert (np.abs(share - p) <= 5 * np.sqrt(p * (1 - p) / 20_000)).all()


@pytest.mark.parametrize("value", [0, 1])
def test_after_what_cannot_be_come_the_marginals(x64, value):
    # x_0 -> x_1 == value -> x_2, and x_3 beside them: the other value of x_1 is impossible.
    rows = np.log([[[0.3, 0.7]] * 2, [[0.5, 0.5]] * 2, [[0.2, 0.8], [0.6, 0.4]], [[0.9, 0.1], [0.25, 0.75]]])
    rows[1] = [0.0, -np.inf] if value == 0 else [-np.inf, 0.0]
    net = TreeNetwork(jnp.array([0, 0, 1, 0]), jnp.asarray(rows))
    every = np.array(list(itertools.product((0, 1), repeat=4)), np.int32)
    p = np.exp(jax.vmap(net.log_density)(jnp.asarray(every)))
    found = np.exp(net.log_conditionals())
    for i, a, j, b in itertools.product(range(4), (0, 1), range(4), (0, 1)):
        given = every[:, i] == a
        given = given if p[given].sum() > 0 or i == j else np.ones_like(given)
        truth = p[given & (every[:, j] == b)].sum() / p[given].sum() if i != j else float(a == b)
        assert found[i, a, j, b] == pytest.approx(truth, abs=1e-12)


def test_what_is_no_tree_is_refused():
    with pytest.raises(ValueError, match="must come before"):
        TreeNetwork(jnp.array([0, 2, 1]), jnp.zeros((3, 2, 2)))
    with pytest.raises(ValueError, match=r"shape \(3, 2, 2\)"):
        TreeNetwork(jnp.array([0, 0, 1]), jnp.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="two variables"):
        random_tree_network(jax.random.key(0), 1)
