"""The hypotheses of Green's theorem, at points: what holds is seen to hold, what fails is named with its place."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import probinf as pi
from probinf.distributions import Categorical
from probinf.kernels import Cycle, FiniteProposal, Involutive, MetropolisHastings, Proposal, random_walk
from probinf.validity import NotInvolution, check_green

KEY = jax.random.key(0)
POINTS = jnp.linspace(0.1, 6.0, 60)
GAMMA = pi.Named("gamma", dist.Gamma(3.0, 1.0))


class Scale(Proposal):
    """y = x exp(scale * normal), whose ratio is y / x; `forgotten` is the planted bug."""

    scale: jax.Array
    forgotten: bool = eqx.field(static=True, default=False)

    def sample(self, key, x):
        return x * jnp.exp(self.scale * jax.random.normal(key, x.shape, x.dtype))

    def log_ratio(self, x, y):
        return jnp.zeros(()) if self.forgotten else jnp.log(y) - jnp.log(x)

    def log_density(self, x, y):
        return dist.LogNormal(jnp.log(x), self.scale).log_prob(y)


class Lopsided(Scale):
    """The planted bug: the ratio is not the inverse of the one back."""

    def log_ratio(self, x, y):
        return 1.1 * (jnp.log(y) - jnp.log(x)) + 0.01


def proposed(proposal):
    return check_green(MetropolisHastings(GAMMA, proposal), KEY, POINTS, log_proposal=proposal.log_density)


def test_metropolis_hastings_against_its_densities():
    report = proposed(Scale(jnp.asarray(0.7)))
    assert report.error < 1e-13 and report.pairs == 60 and report.jacobian is None
    forgotten = proposed(Scale(jnp.asarray(0.7), True))
    # Antisymmetric all the same: only the densities tell.
    assert forgotten.antisymmetry < 1e-13
    x, y = forgotten.where["ratio"]
    assert forgotten.ratio is not None
    assert forgotten.ratio == pytest.approx(abs(np.log(y / x)), rel=1e-9) and forgotten.ratio > 0.5
    lopsided = proposed(Lopsided(jnp.asarray(0.7)))
    assert lopsided.antisymmetry == pytest.approx(0.02, abs=1e-9) and (lopsided.ratio or 0.0) > 0.02


def test_without_a_density_the_ratio_is_unchecked():
    report = check_green(MetropolisHastings(GAMMA, random_walk(0.3)), KEY, POINTS)
    assert report.ratio is None and report.error < 1e-13
    # Proposals below zero are never taken: they lie outside the support of the ratio, on both sides.
    assert report.support == 0


def test_one_way_moves_are_counted():
    # State 2 is proposed from 0, but proposes 1 only; the ratio forgets it.
    log_matrix = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-np.inf, 0.0, -np.inf]])
    target = Categorical([0.0, 0.3, -0.2])
    states = jnp.repeat(jnp.arange(3), 20)
    right = check_green(MetropolisHastings(target, FiniteProposal(log_matrix)), KEY, states)
    assert right.support == 0 and right.error < 1e-13
    wrong = check_green(MetropolisHastings(target, OneWay(log_matrix)), KEY, states)
    assert wrong.support > 0 and wrong.error == np.inf
    assert tuple(int(i) for i in wrong.where["support"]) == (0, 2)


class OneWay(FiniteProposal):
    """The planted bug: the way back is taken for possible where it is not."""

    def log_ratio(self, x, y):
        right = super().log_ratio(x, y)
        return jnp.where(right == -jnp.inf, 0.0, right)


def stretch(x, v):
    return x * jnp.exp(v), -v


def no_volume(x, v):
    return jnp.zeros(())


def too_far(x, v):
    """The planted bug: right for x above three only."""
    return x * jnp.exp(v), jnp.where(x > 3.0, -v, -v + 0.25)


NORMAL = dist.Normal(0.2, 0.3)


def test_involution_and_its_jacobian():
    assert check_green(Involutive(GAMMA, NORMAL, stretch), KEY, POINTS).error < 1e-13
    lost = check_green(Involutive(GAMMA, NORMAL, stretch, no_volume), KEY, POINTS)
    v = lost.where["jacobian"][1]
    assert lost.jacobian == pytest.approx(abs(v), abs=1e-13) and lost.ratio == pytest.approx(lost.jacobian, rel=1e-9)
    assert lost.antisymmetry < 1e-13


def test_a_map_that_is_no_involution_is_refused_where_it_fails():
    with pytest.raises(NotInvolution, match=r"misses the pair it started from by 0\.\d+ at value .*, auxiliary"):
        check_green(Involutive(GAMMA, NORMAL, too_far), KEY, POINTS)
    # Far from where it fails nothing is found: a check at points is no proof.
    assert check_green(Involutive(GAMMA, NORMAL, too_far), KEY, POINTS + 20.0).involution < 1e-12
    undefined = Involutive(GAMMA, NORMAL, lambda x, v: (jnp.log(x - 1.0), v))
    with pytest.raises(NotInvolution, match="by inf"):
        check_green(undefined, KEY, POINTS)


def test_errors_name_the_fix():
    kernel = Involutive(GAMMA, NORMAL, stretch)
    with pytest.raises(TypeError, match="kernel_matrix"):
        check_green(Cycle((kernel,)), KEY, POINTS)
    with pytest.raises(ValueError, match=r"vanishes at point 1, -1"):
        check_green(kernel, KEY, jnp.array([1.0, -1.0]))
