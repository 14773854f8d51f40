"""Exact laws of every scheme and of its conditional twin, by enumeration of what runs on the device."""

from collections import defaultdict
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from probinf.resampling import Killing, Multinomial, Residual, Scheme, Settled, Stratified, Systematic
from probinf.validity import check_cells, enumerate_law

pytestmark = pytest.mark.usefixtures("x64")
KEY = jax.random.key(0)
WEIGHTS = {
    "a zero": np.array([0.55, 0.0, 0.45]),
    "a leading zero": np.array([0.0, 0.7, 0.3]),
    "half units": np.array([0.5, 1 / 6, 1 / 3]),
    "four lanes": np.array([0.31, 0.37, 0.0, 0.32]),
}
SCHEMES = [
    Multinomial(),
    Stratified(),
    Systematic(),
    Residual(),
    Killing(),
    Settled(Systematic()),
    Settled(Killing()),
]


def name(scheme):
    return f"{type(scheme).__name__}{type(scheme.scheme).__name__ if isinstance(scheme, Settled) else ''}"


every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=name)
retained = pytest.mark.parametrize("weights", [w for w in WEIGHTS.values() if w[0] > 0], ids=str)


def law_of(scheme, weights, conditional=False):
    """{ancestors: probability}"""
    return enumerated(scheme, conditional, tuple(weights.tolist()))


@cache
def enumerated(scheme, conditional, weights):
    with np.errstate(divide="ignore"):
        log_weights = jnp.asarray(np.log(weights))
    draw = scheme.conditional if conditional else scheme
    law = enumerate_law(lambda key, x: draw(key, x), KEY, log_weights).grouped()
    assert law.total == pytest.approx(1.0, abs=1e-13)
    return {tuple(a): p for a, p in zip(law.outputs.tolist(), law.probability, strict=True)}


def counts_of(ancestors):
    return tuple(np.bincount(ancestors, minlength=len(ancestors)).tolist())


def gather(pairs):
    law = defaultdict(float)
    for outcome, p in pairs:
        law[outcome] += p
    return dict(law)


def twin_of(law, weight):
    """Counts given that a uniformly chosen slot has parent 0, by definition."""
    n = len(next(iter(law)))
    return gather((counts_of(a), p * a.count(0) / (n * weight)) for a, p in law.items() if 0 in a)


def rotated(scheme, weights):
    """The law of a scheme that turns the lanes by a uniform number of places first."""
    n = len(weights)
    turns = [(r, law_of(scheme, np.roll(weights, -r))) for r in range(n)]
    return gather((tuple((i + r) % n for i in a), p / n) for r, law in turns for a, p in law.items())


def reordered(scheme, weights):
    """The law of a scheme that sees lanes 1 and 3 of four in either order."""
    swap = [0, 3, 2, 1]
    laws = [([0, 1, 2, 3], law_of(scheme, weights)), (swap, law_of(scheme, weights[swap]))]
    return gather((tuple(order[i] for i in a), p / 2) for order, law in laws for a, p in law.items())


def distance(law, other):
    return max(abs(law.get(k, 0.0) - other.get(k, 0.0)) for k in law.keys() | other.keys())


@every_scheme
@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS.keys())
def test_expected_offspring_are_proportional_to_weight(scheme, weights):
    law = law_of(scheme, weights)
    mean = sum(p * np.array(counts_of(a)) for a, p in law.items())
    assert_allclose(mean, len(weights) * weights, atol=1e-12)
    assert not any(counts_of(a)[i] for a in law for i in np.flatnonzero(weights == 0))


@every_scheme
@retained
def test_conditional_twin_has_the_law_of_the_retained_offspring(scheme, weights):
    base = scheme.scheme if isinstance(scheme, Settled) else scheme
    law = law_of(base, weights)
    if isinstance(base, Stratified):
        law = rotated(base, weights)
    if isinstance(scheme, Settled) and not base.exchangeable and len(weights) == 4:
        law = reordered(base, weights)
    twin = law_of(scheme, weights, conditional=True)
    assert all(a[0] == 0 for a in twin)
    assert distance(gather((counts_of(a), p) for a, p in twin.items()), twin_of(law, weights[0])) < 1e-12


@pytest.mark.parametrize("scheme", [Multinomial(), Stratified(), Systematic()], ids=name)
@retained
def test_slots_of_the_twin_keep_their_cyclic_order(scheme, weights):
    law = rotated(scheme, weights) if isinstance(scheme, Stratified) else law_of(scheme, weights)
    n = len(weights)
    turned = gather((a[k:] + a[:k], p / (n * weights[0])) for a, p in law.items() for k in range(n) if a[k] == 0)
    assert distance(law_of(scheme, weights, conditional=True), turned) < 1e-12


@every_scheme
def test_retained_lane_drawn_by_weight_gives_the_scheme_back(scheme):
    weights = WEIGHTS["half units"]
    pairs = []
    for b, w in enumerate(weights):
        twin = law_of(scheme, np.roll(weights, -b), conditional=True)
        pairs += [((b, tuple(np.roll(counts_of(a), b).tolist())), w * p) for a, p in twin.items()]
    base = scheme.scheme if isinstance(scheme, Settled) else scheme
    law = rotated(base, weights) if isinstance(base, Stratified) else law_of(base, weights)
    picked = gather(((b, counts_of(a)), p * a.count(b) / 3) for a, p in law.items() for b in set(a))
    assert distance(gather(pairs), picked) < 1e-12


class Overwritten(Scheme):
    """Planted: the twin is the scheme itself with slot 0 overwritten."""

    scheme: Scheme

    def __call__(self, key, log_weights):
        return self.scheme(key, log_weights)

    def conditional(self, key, log_weights):
        return self.scheme(key, log_weights).at[0].set(0)


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if type(s) is not Multinomial], ids=name)
def test_overwriting_a_slot_is_no_twin(scheme):
    weights = WEIGHTS["half units"]
    law = law_of(scheme, weights)
    twin = law_of(Overwritten(scheme), weights, conditional=True)
    assert distance(gather((counts_of(a), p) for a, p in twin.items()), twin_of(law, weights[0])) > 1e-2


@pytest.mark.parametrize("scheme", [Stratified(), Systematic(), Settled(Systematic())], ids=name)
def test_ancestors_are_constant_in_every_cell(scheme):
    log_weights = jnp.log(jnp.asarray([0.31, 0.47, 0.22]))
    check_cells(lambda key, x: scheme(key, x), KEY, log_weights)
    check_cells(lambda key, x: scheme.conditional(key, x), KEY, log_weights)
