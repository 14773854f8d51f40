"""Composition: one chain whatever the grouping, meanings that fold, and errors that name the fix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import (
    Chain,
    Density,
    Draw,
    Guarantee,
    Map,
    MeaningError,
    Measure,
    Move,
    Nested,
    Resample,
    Reweight,
    Scan,
    Twist,
    Verified,
    While,
    spawn,
)
from probinf.kernels import FiniteProposal, MetropolisHastings
from tests.core.models import PRIOR, Walk, likelihood, prior

ROWS = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.35, 0.4]])
KEY = jax.random.key(0)


def keeper(target):
    return MetropolisHastings(target, FiniteProposal(ROWS))


def always(x):
    return x >= 0


def test_grouping_gives_the_same_chain_and_the_same_draws():
    a, b, c, d = Draw(prior()), Draw(Walk(ROWS)), Reweight(likelihood()), Resample()
    chains = [a >> b >> c >> d, a >> (b >> (c >> d)), (a >> b) >> (c >> d)]
    assert all(isinstance(chain, Chain) and len(chain.stages) == 4 for chain in chains)
    clouds = [chain(KEY, spawn(5))[0] for chain in chains]
    for cloud in clouds[1:]:
        np.testing.assert_array_equal(cloud.values, clouds[0].values)
        assert cloud.log_z == clouds[0].log_z


def test_each_stage_has_a_key_of_its_own():
    independent = Walk(np.broadcast_to(PRIOR, (3, 3)))
    first = Draw(prior())(jax.random.split(KEY, 2)[0], spawn(64))[0].values
    chained = Draw(prior()) >> Draw(independent)
    assert np.any(np.asarray(chained(KEY, spawn(64))[0].values) != np.asarray(first))


def test_only_samplers_are_joined():
    with pytest.raises(TypeError, match=r">> joins samplers, got function: wrap it in Draw, Reweight or Map"):
        Draw(prior()) >> always  # pyright: ignore[reportOperatorIssue]
    with pytest.raises(TypeError):
        always >> Draw(prior())  # pyright: ignore[reportOperatorIssue]
    with pytest.raises(ValueError, match="at least one stage"):
        Chain(())


def test_meanings_fold():
    sampler = Draw(prior()) >> Reweight(likelihood()) >> Resample() >> Move(keeper(prior() * likelihood()))
    m = sampler.meaning(Measure())
    assert m.same_law(prior() * likelihood())
    assert m.guarantee is Guarantee.PROPER
    assert Draw(prior()).meaning(Measure()).guarantee is Guarantee.EXACT
    assert Nested(Draw(prior()), 2).meaning(Measure()).guarantee is Guarantee.PROPER
    assert Verified(Draw(prior()), always).meaning(Measure()).guarantee is Guarantee.CHANGES_TARGET
    assert (Draw(prior()) >> Twist(likelihood())).meaning(Measure()).same_law(prior() * Measure())


def test_importance_sampling_means_its_target():
    proposal = prior(np.log([0.3, 0.3, 0.4]))
    target = prior() * likelihood()
    # The same name with other numbers is another factor.
    assert (Draw(proposal) >> Reweight(target / proposal)).meaning(Measure()).same_law(target)
    assert not (Draw(proposal) >> Reweight(target)).meaning(Measure()).same_law(target)


def test_a_kernel_for_another_measure_has_no_meaning():
    wrong = Draw(prior()) >> Reweight(likelihood()) >> Move(keeper(prior()))
    with pytest.raises(
        MeaningError, match=r"leaves 'prior' invariant, but the cloud means 'prior \* likelihood': build the kernel for"
    ):
        wrong.meaning(Measure())
    tempered = Draw(prior()) >> Reweight(likelihood() ** 0.5) >> Move(keeper(prior() * likelihood() ** 0.6))
    with pytest.raises(MeaningError, match=r"likelihood\^0.6"):
        tempered.meaning(Measure())


def test_a_kernel_after_a_map_has_no_meaning():
    with pytest.raises(MeaningError, match=r"abs\(prior\)|absolute\(prior\)"):
        (Draw(prior()) >> Map(jnp.abs) >> Move(keeper(prior()))).meaning(Measure())


def test_loops_mean_the_fold():
    climb = Reweight(likelihood())
    assert Scan(climb, length=3).meaning(Measure()).same_law(likelihood() ** 3.0)
    assert While(climb, lambda cloud: jnp.array(True), 2).meaning(Measure()).same_law(likelihood() ** 2.0)
    rows = Scan(lambda beta: Reweight(likelihood() ** beta), jnp.array([0.25, 0.75]))
    assert rows.meaning(Measure()).same_law(likelihood() * Measure())


def test_densities_without_closed_form_say_so():
    for sampler, message in [
        (Draw(prior()) >> Map(always), "push-forward 'always"),
        (Verified(Draw(prior()), always), "no closed form"),
    ]:
        with pytest.raises(MeaningError, match=message):
            sampler.meaning(Measure()).log_density(jnp.int32(0))


def test_what_has_no_conditional_form_says_so():
    for sampler in (Nested(Draw(prior()), 2), Map(always), Verified(Draw(prior()), always)):
        with pytest.raises(MeaningError, match="no conditional form"):
            sampler.conditional(KEY, spawn(2), jnp.int32(0))
    with pytest.raises(MeaningError, match="islands=1"):
        Resample(islands=2).conditional(KEY, spawn(2), jnp.int32(0))


@pytest.mark.parametrize(
    "sampler",
    [
        Draw(prior(PRIOR)),
        Reweight(likelihood()),
        Twist(likelihood()),
        Resample(),
        Map(always),
        Move(keeper(prior())),
        Scan(Map(always), length=1),
        While(Resample(), lambda cloud: jnp.array(True), 1),
        Nested(Draw(prior()), 2),
        Verified(Draw(prior()), Density("always", always)),
        Draw(prior()) >> Reweight(likelihood()),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_legacy_keys_are_refused_everywhere(sampler):
    with pytest.raises(TypeError, match=r"use jax\.random\.key\(seed\)"):
        sampler(jax.random.PRNGKey(0), spawn(2, jnp.arange(2)))


def test_a_vmapped_sampler_runs_as_it_does_alone():
    sampler = Draw(prior()) >> Reweight(likelihood()) >> Resample(ess=0.9) >> Draw(Walk(ROWS)) >> Reweight(likelihood())
    keys = jax.random.split(KEY, 5)
    together = jax.jit(jax.vmap(lambda key: _values_and_mass(sampler, key)))(keys)
    for i, key in enumerate(keys):
        values, log_z = _values_and_mass(sampler, key)
        np.testing.assert_array_equal(together[0][i], values)
        np.testing.assert_allclose(together[1][i], log_z, rtol=1e-6)


def _values_and_mass(sampler, key):
    cloud, _ = sampler(key, spawn(3))
    return cloud.values, cloud.log_z


def test_a_call_of_its_own_is_used_in_a_chain():
    # In a chain stages run in place; a subclass that changes only the call must not be passed over.
    class Forgetful(Resample):
        def __call__(self, key, cloud):
            after, info = super().__call__(key, cloud)
            return after.replace(log_evidence=cloud.log_evidence), info

    class Grandchild(Forgetful):
        pass

    weighed = spawn(2).replace(log_weights=jnp.log(jnp.array([1.0, 3.0])))
    for kind, evidence in ((Resample, jnp.log(2.0)), (Forgetful, 0.0), (Grandchild, 0.0)):
        cloud, _ = Chain((kind(),))(jax.random.key(0), weighed)
        assert cloud.log_evidence == pytest.approx(float(evidence), abs=1e-6)
