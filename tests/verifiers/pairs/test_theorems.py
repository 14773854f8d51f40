"""What the paper promises of calibrated predictions holds to rounding, under its conditions and not beyond them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Status, spawn
from probinf.verifiers.pairs import (
    Dirichlet,
    PairVerifier,
    covered,
    hallucination_bound,
    rejection_decoder,
    selective_filter,
    top_admitted,
)
from tests.verifiers.pairs.worlds import CLASSES, content_and_style, moments, predictions, rough_world

WORLDS = pytest.mark.parametrize("world", [rough_world, content_and_style])


@WORLDS
def test_a_calibrated_pair_has_the_mean_and_covariance_of_its_group(world, x64):
    truth, group = world()
    table = predictions(truth, group)
    p, _, _ = moments(table)
    covariance = np.asarray(jax.vmap(lambda t: t.covariance)(table))
    for g in np.unique(group):
        rows = truth[group == g]
        i = np.argmax(group == g)
        np.testing.assert_allclose(p[i], rows.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(covariance[i], np.cov(rows.T, bias=True), atol=1e-12)
    assert np.abs(covariance.sum(axis=2)).max() < 1e-12
    assert np.linalg.eigvalsh(covariance).min() > -1e-12


@WORLDS
@pytest.mark.parametrize("event", ["always", "small variance", "large doubt"])
@pytest.mark.parametrize("response", ["most probable", "least known", "drawn"])
def test_variance_is_the_squared_error_of_what_the_model_chose(world, event, response, x64):
    truth, group = world()
    p, v, c = moments(predictions(truth, group))
    inputs = np.arange(len(p))
    chosen = {"most probable": p.argmax(1), "least known": v.argmax(1)}.get(response)
    # How likely each response is, given the model's outputs.
    chance = p if chosen is None else np.eye(p.shape[1])[chosen]
    doubt = np.sum(chance * (1 - c), axis=1)
    happens = {
        "always": inputs >= 0,
        "small variance": v.sum(1) <= np.median(v.sum(1)),
        "large doubt": doubt >= np.median(doubt),
    }[event]
    squared, variance = (chance * (p - truth) ** 2)[happens].sum(), (chance * v)[happens].sum()
    assert squared == pytest.approx(variance, abs=1e-10)
    for beta in (0.05, 0.25, 0.5):
        inside = np.asarray(covered(jnp.asarray(v), jnp.asarray(p - truth), beta))
        missed = (chance * ~inside)[happens].sum() / chance[happens].sum()
        assert missed <= beta + 1e-12


def test_an_event_that_knows_the_truth_is_not_covered(x64):
    truth, group = rough_world()
    p, v, _ = moments(predictions(truth, group))
    wrong = np.abs(p - truth)[:, 0] > 0.3
    assert ((p - truth)[wrong, 0] ** 2).mean() > 1.5 * v[wrong, 0].mean()


@WORLDS
def test_hallucinations_are_bounded_by_doubt(world, x64):
    truth, group = world()
    p, _, c = moments(predictions(truth, group))
    hallucinated = (p * (truth == 0)).sum() / len(p)
    bound = (p * (1 - c)).sum() / len(p)
    assert hallucinated <= bound + 1e-12
    if world is content_and_style:
        # A response has its one probability or none within a group: then the bound is attained.
        assert hallucinated == pytest.approx(bound, abs=1e-12) and hallucinated > 0.3


@WORLDS
@pytest.mark.parametrize("decoder", [selective_filter, rejection_decoder, top_admitted])
def test_decoders_keep_hallucinations_below_beta(world, decoder, x64):
    truth, group = world()
    table = predictions(truth, group)
    names, first = np.unique(group, return_index=True)
    some = jax.tree.map(lambda leaf: leaf[first], table)
    keys = jax.random.split(jax.random.key(0), len(first))
    run = jax.jit(lambda beta: jax.vmap(lambda t, key: decoder(t, beta)(key, spawn(64))[0])(some, keys))
    _, _, c = moments(some)
    for beta in (0.05, 0.3, 0.8):
        clouds = run(jnp.asarray(beta))
        answers, answered = np.asarray(clouds.values), np.asarray(clouds.log_weights) == 0
        for i, g in enumerate(names):
            given = np.unique(answers[i][answered[i]])
            # Whatever is answered is admitted, and of what is admitted at most beta has no probability.
            assert np.all(1 - c[i][given] <= beta)
            assert np.all((truth[group == g][:, given] == 0).mean(axis=0) <= beta + 1e-12)
            doubt = hallucination_bound(jnp.asarray(c[i][answers[i]]), jnp.asarray(answered[i]))
            assert doubt <= beta + 1e-12
        assert answered.any() or beta < 0.8


def test_where_nothing_is_admitted_a_decoder_abstains():
    unsure = Dirichlet(jnp.array([0.5, 0.4, 0.1]), 0.5)
    for decoder in (selective_filter, rejection_decoder, top_admitted):
        cloud, info = decoder(unsure, 0.1)(jax.random.key(0), spawn(4))
        assert bool(jnp.all(cloud.log_weights == -jnp.inf)) and int(info.status) == Status.ABSTAINED


def test_a_verifier_of_pairs_accepts_at_most_a_share_beta_of_hallucinations(x64):
    truth, group = rough_world()
    table = predictions(truth, group)
    _, _, c = moments(table)
    inputs = jnp.arange(len(truth))

    @jax.jit
    def accepts(beta):
        # A value is an input and an answer to it.
        verifier = PairVerifier(lambda x: jax.tree.map(lambda leaf: leaf[x[0]], table), lambda x: x[1], beta)
        one = jax.vmap(lambda i, y: verifier.log_density((i, y)) == 0, in_axes=(None, 0))
        return jax.vmap(one, in_axes=(0, None))(inputs, jnp.arange(CLASSES))

    for beta in np.quantile(1 - c, [0.1, 0.5, 0.9]):
        accepted = np.asarray(accepts(jnp.asarray(beta)))
        assert accepted.any() and not accepted.all()
        # Whichever class is asked about: its acceptance depends on the group alone.
        for y in range(CLASSES):
            some = accepted[:, y]
            assert not some.any() or (truth[some, y] == 0).mean() <= beta
