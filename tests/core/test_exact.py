"""What compositions produce, over every outcome of their own randomness, is what they mean."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import (
    Choose,
    Draw,
    Map,
    Move,
    Nested,
    Proportional,
    Resample,
    Reweight,
    Scan,
    Twist,
    Verified,
    While,
)
from probinf.kernels import FiniteProposal, MetropolisHastings
from probinf.resampling import Killing, Multinomial, Residual, Stratified, Systematic
from probinf.validity import check_proper_weighting
from tests.core.models import Table, Walk, likelihood, prior

TOLERANCE = 1e-10
COIN = prior(np.log([0.3, 0.7]))
ROWS = np.log([[0.6, 0.4], [0.25, 0.75]])
G = likelihood(np.log([0.9, 0.4]))
H = Table(np.log([0.5, 2.0]), "h")
DATA = np.log([[0.9, 0.4], [0.2, 0.7]])


class TwistedStage(eqx.Module):
    """A step of a filter whose resampling looks ahead."""

    resample: Resample

    def __call__(self, row):
        return Draw(Walk(ROWS)) >> Reweight(Table(row)) >> Twist(H) >> self.resample


class NestedStage(eqx.Module):
    """A step whose proposal is a filter of its own."""

    def __call__(self, row):
        return Nested(Draw(Walk(ROWS)) >> Reweight(Table(row)) >> Resample(Multinomial()), 2)


def is_one(x):
    return x == 1


def only_one(x):
    return jnp.where(x == 1, 0.0, -jnp.inf)


def some_zero(cloud):
    return jnp.any(cloud.values == 0)


def absorbing(first):
    """From 0 to 1 with a chance, and from 1 nowhere."""
    return Draw(Walk(np.log(np.array([[first, 1 - first], [1e-300, 1.0]]))))


EXACT = {
    "twist in a scan, ess": (Draw(COIN) >> Scan(TwistedStage(Resample(Systematic(), ess=0.95)), DATA), 2),
    "twist in a scan, always": (Draw(COIN) >> Scan(TwistedStage(Resample(Residual())), DATA), 2),
    "twist and islands": (
        Draw(COIN) >> Reweight(G) >> Twist(H) >> Resample(Multinomial(), islands=2) >> Draw(Walk(ROWS)) >> Reweight(H),
        4,
    ),
    "twist, ess and islands": (
        Draw(COIN) >> Scan(TwistedStage(Resample(Systematic(), ess=0.95, islands=2)), DATA[:1]) >> Reweight(G),
        4,
    ),
    "a stale twist": (Draw(COIN) >> Twist(H) >> Resample() >> Draw(Walk(ROWS)) >> Resample() >> Reweight(G), 2),
    "a twist over a dead lane": (Draw(COIN) >> Reweight(only_one) >> Twist(H) >> Resample(Killing()) >> Reweight(G), 2),
    "nested in a scan": (Draw(COIN) >> Scan(NestedStage(), DATA[:1]) >> Resample(ess=0.9), 2),
    "nested in nested": (Nested(Nested(Draw(COIN) >> Reweight(G), 2) >> Resample(Stratified()), 2), 1),
    "verified, then resampled": (
        Draw(COIN) >> Verified(Draw(Walk(ROWS)) >> Reweight(G), is_one, 2) >> Resample(Multinomial()) >> Reweight(H),
        2,
    ),
    "verified in nested": (Nested(Verified(Draw(COIN), is_one, 2) >> Resample(), 2) >> Reweight(G), 2),
    "while with ess": (
        Draw(COIN) >> While(absorbing(0.5) >> Resample(Multinomial(), ess=0.9), some_zero, 2) >> Reweight(G),
        2,
    ),
    "choose in nested": (Nested(Draw(COIN) >> Reweight(G) >> Choose(Proportional()), 3), 2),
    "three systematic lanes": (Draw(COIN) >> Reweight(G) >> Resample() >> Draw(Walk(ROWS)) >> Reweight(H), 3),
    "a move after resampling": (
        Draw(COIN) >> Reweight(G) >> Resample(ess=0.99) >> Move(MetropolisHastings(COIN * G, FiniteProposal(ROWS))),
        2,
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_composition_means_what_it_says(name):
    sampler, n = EXACT[name]
    found = check_proper_weighting(sampler, n)
    assert found.worlds > 4
    assert found.error < TOLERANCE


def test_the_check_sees_a_wrong_target():
    sampler = Draw(COIN) >> Reweight(G) >> Resample(Multinomial())
    other = check_proper_weighting(Draw(COIN) >> Reweight(H), 2).target
    assert check_proper_weighting(sampler, 2, target=other).error > 0.1


def test_a_map_between_resamplings():
    sampler = Draw(COIN) >> Reweight(G) >> Resample() >> Map(lambda x: 1 - x) >> Reweight(G) >> Resample()
    assert check_proper_weighting(sampler, 2).error < TOLERANCE
