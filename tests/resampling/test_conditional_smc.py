"""Conditional SMC keeps its target, exactly: three steps of a hidden Markov model, lane 0 retained
throughout."""

from collections import defaultdict
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf._choice import choice
from probinf.resampling import Killing, Multinomial, Residual, Scheme, Settled, Stratified, Systematic
from probinf.validity import enumerate_law

pytestmark = pytest.mark.usefixtures("x64")
INITIAL = np.array([0.3, 0.7])
TRANSITION = np.array([[0.8, 0.2], [0.3, 0.7]])
LIKELIHOOD = np.array([[0.9, 0.2], [0.25, 1.0], [0.7, 0.1]])
STEPS = len(LIKELIHOOD)


def posterior():
    mass = {}
    for path in product(range(2), repeat=STEPS):
        p = INITIAL[path[0]]
        for before, after in zip(path, path[1:], strict=False):
            p *= TRANSITION[before, after]
        mass[path] = p * np.prod(LIKELIHOOD[range(STEPS), path])
    total = sum(mass.values())
    return {path: p / total for path, p in mass.items()}


def twin_laws(scheme, n, t):
    """{states of the lanes: [(ancestors, probability)]} at one time, all weight vectors in one
    enumeration."""
    states = np.array(list(product(range(2), repeat=n)))

    def draw(key, table):
        row_key, key = jax.random.split(key)
        row = choice(row_key, jnp.zeros(len(states)))
        return row, scheme.conditional(key, table[row])

    law = enumerate_law(draw, jax.random.key(0), jnp.asarray(np.log(LIKELIHOOD[t])[states])).grouped()
    laws = defaultdict(list)
    for row, ancestors, p in zip(*law.outputs, law.probability, strict=True):
        laws[tuple(states[row].tolist())].append((ancestors.tolist(), p * len(states)))
    return laws


def after_one_sweep(scheme, n):
    """Law of the path after one sweep of conditional SMC that starts in the posterior."""
    laws = [twin_laws(scheme, n, t) for t in range(STEPS - 1)]
    fresh = list(product(range(2), repeat=n - 1))
    result = defaultdict(float)
    for path, start in posterior().items():
        clouds = {((path[0],), *((x,) for x in xs)): start * np.prod(INITIAL[list(xs)]) for xs in fresh}
        for t in range(1, STEPS):
            moved = defaultdict(float)
            for cloud, p in clouds.items():
                for ancestors, q in laws[t - 1][tuple(lane[-1] for lane in cloud)]:
                    parents = [cloud[a] for a in ancestors]
                    rows = TRANSITION[[lane[-1] for lane in parents[1:]]]
                    for xs in fresh:
                        lanes = tuple(lane + (x,) for lane, x in zip(parents, (path[t], *xs), strict=True))
                        moved[lanes] += p * q * np.prod(rows[range(n - 1), xs])
            clouds = moved
        for cloud, p in clouds.items():
            weights = LIKELIHOOD[-1][[lane[-1] for lane in cloud]]
            for lane, w in zip(cloud, weights / weights.sum(), strict=True):
                result[lane] += p * w
    return result


def error(scheme, n):
    after = after_one_sweep(scheme, n)
    return max(abs(after[path] - p) for path, p in posterior().items())


@pytest.mark.parametrize(
    ("scheme", "n"),
    [
        (Multinomial(), 3),
        (Residual(), 3),
        (Killing(), 3),
        (Settled(Killing()), 3),
        (Stratified(), 3),
        (Systematic(), 4),
        (Settled(Systematic()), 4),
    ],
    ids=str,
)
def test_keeps_the_posterior(scheme, n):
    assert error(scheme, n) < 1e-13


class Rearranged(Scheme):
    """Planted: a right twin whose slots are sorted, so that a lane's neighbors change."""

    scheme: Scheme

    def __call__(self, key, log_weights):
        return self.scheme(key, log_weights)

    def conditional(self, key, log_weights):
        return jnp.sort(self.scheme.conditional(key, log_weights))


class Unturned(Stratified):
    """Planted: the twin of stratified resampling whose strata always begin at the retained lane."""

    def conditional(self, key, log_weights):
        weights = jnp.exp(log_weights)
        n = log_weights.shape[0]
        ends = n * jnp.cumsum(weights) / jnp.sum(weights)
        strata = jnp.arange(n)
        overlaps = jnp.clip(jnp.minimum(ends[None, :], strata[:, None] + 1.0), 0.0) - jnp.maximum(
            jnp.concatenate([jnp.zeros(1), ends[:-1]])[None, :], strata[:, None].astype(float)
        )
        logits = jnp.log(jnp.maximum(overlaps, 0.0))
        slot_key, key = jax.random.split(key)
        slot = choice(slot_key, logits[:, 0])
        return jnp.roll(choice(key, logits).at[slot].set(0), -slot)


class Overwritten(Systematic):
    """Planted: the scheme itself with slot 0 overwritten."""

    def conditional(self, key, log_weights):
        return self(key, log_weights).at[0].set(0)


@pytest.mark.parametrize(("scheme", "n"), [(Unturned(), 3), (Overwritten(), 3), (Rearranged(Systematic()), 4)])
def test_wrong_twins_are_seen(scheme, n):
    assert error(scheme, n) > 1e-4
