"""From a cloud to one particle: as a proposal, or as an answer."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import (
    Best,
    Choose,
    Distribution,
    Draw,
    Guarantee,
    Majority,
    Measure,
    Nested,
    Proportional,
    Resample,
    Reweight,
    Status,
    sample,
    spawn,
)
from tests.core.models import LIKELIHOOD, OnHost, likelihood, prior

KEY = jax.random.key(0)


def nowhere(x):
    return jnp.where(x < 0, 0.0, -jnp.inf)


def test_a_nested_particle_carries_the_inner_mass():
    # All inner lanes weigh the same, so the outer weight is known.
    inner = Draw(prior()) >> Reweight(lambda x: jnp.log(0.25)) >> Resample()
    result = sample(Nested(inner, 3), KEY, 4)
    np.testing.assert_allclose(result.particles.log_weights, np.log(0.25), rtol=1e-6)
    assert result.info.inner[2].ancestors.shape == (4, 3)
    assert result.particles.log_evidence == 0.0


def test_a_dead_inner_cloud_kills_its_lane_only():
    def where_three(x):
        return jnp.where(x == 3, 0.0, -jnp.inf)

    result = sample(Nested(Reweight(where_three), 2), KEY, 3, values=jnp.array([1, 3, 2]))
    np.testing.assert_array_equal(result.particles.log_weights, [-np.inf, 0.0, -np.inf])
    assert result.status is Status.OK
    dead = sample(Nested(Draw(prior()) >> Reweight(nowhere), 2) >> Resample(), KEY, 3)
    assert dead.status is Status.DEGENERATE


def test_an_invalid_potential_inside_is_reported():
    assert sample(Nested(Draw(prior()) >> Reweight(lambda x: jnp.nan * x), 2), KEY, 2).status is Status.INVALID


class Say(Distribution):
    """Appends a letter to a Python string."""

    name: str = eqx.field(static=True, default="say")

    @property
    def traceable(self):
        return False

    def sample(self, key, x):
        raise NotImplementedError("texts are drawn together")

    def sample_lanes(self, key, values, n):
        letters = jax.random.randint(key, (n,), 0, 2)
        return [text + "ab"[int(i)] for text, i in zip(values, letters, strict=True)]

    def log_density(self, x):
        raise NotImplementedError("the tests need draws only")


class StartsWith(OnHost):
    """Accepts texts by their second letter."""

    def log_density_lanes(self, values, n):
        return jnp.asarray([0.0 if text[1] == "b" else -np.inf for text in values])


def test_nested_runs_on_python_values():
    result = sample(Nested(Draw(Say()) >> Reweight(StartsWith([0.0])) >> Resample(), 4), KEY, 3, values=["x", "y", "z"])
    assert [text[0] for text in result.particles.values] == ["x", "y", "z"]
    alive = np.asarray(result.particles.log_weights) > -np.inf
    assert alive.any() and all(text[1] == "b" for text, a in zip(result.particles.values, alive, strict=True) if a)


def test_nested_agrees_on_host_and_device():
    table = LIKELIHOOD.astype(np.float32)
    clouds = [
        sample(Nested(Draw(prior()) >> Reweight(g), 3), KEY, 4).particles for g in (likelihood(table), OnHost(table))
    ]
    np.testing.assert_array_equal(clouds[0].values, clouds[1].values)
    np.testing.assert_allclose(clouds[0].log_weights, clouds[1].log_weights, rtol=1e-6)


def test_nested_needs_a_particle():
    with pytest.raises(ValueError, match="at least one inner particle, got n=0"):
        Nested(Draw(prior()), 0)


CLOUD = spawn(4, jnp.array([0, 2, 2, 1])).replace(
    log_weights=jnp.log(jnp.array([0.0, 1.0, 1.5, 2.0])), log_evidence=jnp.log(2.0)
)


def score(x):
    return jnp.where(x == 1, jnp.nan, -jnp.float32(x))


@pytest.mark.parametrize(
    ("rule", "lane", "guarantee"),
    [
        (Best(likelihood()), 1, Guarantee.HEURISTIC),  # lane 0 scores best, but is dead
        (Best(score), 1, Guarantee.HEURISTIC),  # NaN loses
        (Best(nowhere), 1, Guarantee.HEURISTIC),  # hopeless, but alive
        (Majority(lambda x: x), 1, Guarantee.HEURISTIC),  # 1 + 1.5 > 2
    ],
)
def test_rules_choose_among_the_living(rule, lane, guarantee):
    chosen, info = Choose(rule)(KEY, CLOUD)
    assert info.index == lane and chosen.n == 1
    np.testing.assert_array_equal(chosen.values, CLOUD.values[lane][None])
    np.testing.assert_allclose(chosen.log_z, CLOUD.log_z, rtol=1e-6)
    assert Choose(rule).meaning(Measure()).guarantee is guarantee


def test_a_proportional_choice_keeps_the_claim():
    assert Choose(Proportional()).meaning(Measure()).guarantee is Guarantee.PROPER
    indices = jax.vmap(lambda key: Choose(Proportional())(key, CLOUD)[1].index)(jax.random.split(KEY, 512))
    assert 0 not in indices and set(np.asarray(indices).tolist()) == {1, 2, 3}


@pytest.mark.parametrize("rule", [Best(likelihood()), Majority(lambda x: x), Proportional()])
def test_nothing_to_choose_stays_dead(rule):
    chosen, _ = Choose(rule)(KEY, CLOUD.replace(log_weights=jnp.full(4, -jnp.inf)))
    assert chosen.log_z == -np.inf and not np.isnan(chosen.log_evidence)


def test_a_score_on_the_host_keeps_the_choice_on_the_host():
    sampler = Draw(prior()) >> Choose(Best(OnHost(LIKELIHOOD.astype(np.float32))))
    assert not sampler.traceable
    compiled = sample(Draw(prior()) >> Choose(Best(likelihood())), KEY, 4)
    assert sample(sampler, KEY, 4).particles.values == compiled.particles.values
