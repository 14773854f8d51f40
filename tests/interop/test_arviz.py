"""Results reach ArviZ in one call, with weights resolved and the evidence beside them."""

import builtins
import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

from probinf import Draw, Particles, Resample, Reweight, sample, sample_chains, spawn
from probinf.interop import from_numpyro, plot_trace, to_arviz
from probinf.kernels import MetropolisHastings, random_walk
from tests.interop.models import EFFECTS, ERRORS, gaussian, schools

matplotlib.use("Agg")
KEY = jax.random.key(0)


class Info(NamedTuple):
    """What a kernel might report."""

    is_divergent: jax.Array
    lp: jax.Array
    proposal: dict


class Chains(NamedTuple):
    """The fields that matter of what `sample_chains` returns."""

    values: object
    info: object


def runs(n=200, count=3):
    ours = from_numpyro(gaussian, 1.2)
    sampler = Draw(ours.prior) >> Reweight(ours.likelihood)
    return ours, [sample(sampler, key, n=n) for key in jax.random.split(KEY, count)]


def test_chains_keep_their_values_and_statistics():
    ours = from_numpyro(schools, ERRORS, EFFECTS)
    values = jax.vmap(jax.vmap(lambda k: ours.prior.sample(k, ())))(jax.random.split(KEY, 8).reshape(2, 4))
    info = Info(jnp.zeros((2, 4), bool), jnp.ones((2, 4)), {"x": jnp.zeros((2, 4, 3)), "other": jnp.zeros(7)})
    data = to_arviz(Chains(values, info), model=ours)
    assert data.posterior.sizes["chain"] == 2 and data.posterior.sizes["draw"] == 4
    assert data.posterior["effect"].shape == (2, 4, 8)
    np.testing.assert_array_equal(data.posterior["mean"], values["mean"])
    assert set(data.sample_stats) == {"diverging", "lp", "proposal.x"}


def test_chains_of_a_kernel_arrive_with_what_it_reported():
    ours = from_numpyro(gaussian, 1.2)
    chains = sample_chains(MetropolisHastings(ours.posterior, random_walk(1.0)), KEY, {"x": jnp.zeros(2)}, 50)
    data = to_arviz(chains, model=ours)
    assert data.posterior["x"].shape == data.sample_stats["accepted"].shape == (2, 50)
    moved = np.diff(np.asarray(data.posterior["x"]), axis=1) != 0
    np.testing.assert_array_equal(moved, np.asarray(data.sample_stats["accepted"])[:, 1:])


def test_bare_and_nested_values_get_names():
    assert list(to_arviz(Chains(jnp.zeros((2, 5)), ())).posterior) == ["x"]
    nested = to_arviz(Chains({"a": {"b": jnp.zeros((2, 5, 3))}, "c": jnp.zeros((2, 5))}, ()))
    assert set(nested.posterior) == {"a.b", "c"}


def test_weighted_clouds_are_resampled_and_runs_become_chains():
    ours, results = runs()
    data = to_arviz(results, model=ours, key=KEY)
    assert data.posterior["x"].shape == (3, 200)
    attributes = data.posterior.attrs
    np.testing.assert_allclose(attributes["log_z"], [float(r.particles.log_z) for r in results], rtol=1e-6)
    assert all(1 < ess < 200 for ess in attributes["ess"])
    # Systematic resampling: a particle of weight w has 200 w copies, up to one.
    cloud = results[0].particles
    copies = np.array([np.sum(np.asarray(data.posterior["x"])[0] == x) for x in np.asarray(cloud.values["x"])])
    assert np.all(np.abs(copies - 200 * np.asarray(cloud.normalized_weights)) < 1 + 1e-3)


def test_weights_are_never_dropped_silently():
    _, results = runs(count=1)
    with pytest.raises(ValueError, match="pass key="):
        to_arviz(results[0])
    with pytest.raises(TypeError, match="jax.random.key"):
        to_arviz(results[0], key=jax.random.PRNGKey(0))


def test_clouds_of_equal_weights_need_no_key():
    ours = from_numpyro(gaussian, 1.2)
    result = sample(Draw(ours.prior) >> Reweight(ours.likelihood) >> Resample(), KEY, n=50)
    data = to_arviz(result)
    np.testing.assert_array_equal(data.posterior["x"][0], result.particles.values["x"])
    assert np.isnan(data.posterior.attrs["log_z_standard_error"])


def test_trace_plot_shows_the_draws_in_either_version():
    draws = np.random.default_rng(0).normal(size=(2, 30))
    plot_trace(Chains({"x": jnp.asarray(draws)}, ()))
    lines = [np.asarray(line.get_ydata()) for axes in pyplot.gcf().axes for line in axes.get_lines()]
    for chain in draws.astype(np.float32):
        assert any(line.shape == chain.shape and np.array_equal(line, chain) for line in lines)
    pyplot.close("all")


def test_what_is_no_result_is_refused():
    with pytest.raises(TypeError, match="result of sample"):
        to_arviz(jnp.zeros(3))
    with pytest.raises(ValueError, match="one length"):
        to_arviz([spawn(2, jnp.zeros(2)), spawn(3, jnp.zeros(3))])
    with pytest.raises(ValueError, match="hold no array"):
        to_arviz(spawn(3))
    dead = Particles(jnp.zeros(2), jnp.full(2, -jnp.inf), jnp.zeros(()), jnp.zeros(2))
    with pytest.raises(ValueError, match="without mass"):
        to_arviz(dead, key=KEY)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "arviz", raising=False)
    real = builtins.__import__
    monkeypatch.setattr("importlib.import_module", lambda name: real("no_such_package_as_" + name))
    with pytest.raises(ImportError, match=r"probinf\[mcmc\]"):
        to_arviz(Chains(jnp.zeros((2, 5)), ()))


def test_importing_arviz_warns_nobody():
    program = (
        "import warnings; warnings.simplefilter('error')\n"
        "from probinf.interop._arviz import import_arviz\n"
        "import_arviz()\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
