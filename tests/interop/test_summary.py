"""The table of a result: the same numbers from each version of ArviZ, and no confidence in what never moved."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinf import Density, Draw, Reweight, Status, sample, sample_chains, spawn
from probinf.interop import from_numpyro, summary
from probinf.kernels import hmc
from probinf.samplers import tempered_smc
from tests.interop.models import gaussian

KEY = jax.random.key(0)


class Chains(NamedTuple):
    """The fields that matter of what `sample_chains` returns."""

    values: object
    info: object = ()


def test_summary_has_the_evidence_with_its_error_over_runs():
    ours = from_numpyro(gaussian, 1.2)
    sampler = Draw(ours.prior) >> Reweight(ours.likelihood)
    results = [sample(sampler, key, n=2000) for key in jax.random.split(KEY, 4)]
    table = summary(results, model=ours, key=KEY)
    assert {"mean", "sd", "ess_bulk", "ess_tail", "r_hat", "mcse_mean"} <= set(table.columns)
    # Posterior N(0.96, 0.2); five standard errors.
    assert abs(table.loc["x", "mean"] - 0.96) < 5 * table.loc["x", "mcse_mean"] < 0.2
    assert abs(table.loc["x", "sd"] - np.sqrt(0.2)) < 0.05
    z = np.exp([float(r.particles.log_z) for r in results])
    assert table.loc["log_z", "mean"] == pytest.approx(np.log(np.mean(z)), rel=1e-5)
    assert table.loc["log_z", "mcse_mean"] == pytest.approx(np.std(z, ddof=1) / 2 / np.mean(z), rel=1e-4)
    assert "log_z" not in summary(Chains({"x": jax.random.normal(KEY, (2, 50))}, ())).index


def correlated(scale=1.0):
    """Four chains of x[t] = .9 x[t - 1] + noise."""
    noise = np.random.default_rng(0).normal(size=(4, 500))
    draws = np.zeros((4, 500))
    for t in range(1, 500):
        draws[:, t] = 0.9 * draws[:, t - 1] + noise[:, t]
    return scale * draws


def test_numbers_are_those_of_arviz_0_23_in_either_version(x64):
    row = summary(Chains({"x": correlated()})).loc["x"]
    # ArviZ 0.23.4: summary(from_dict(posterior={"x": ...}), kind="all", round_to="none"). Version 1.3 by itself has
    # 5.5 % in each tail, which makes ess_tail another number.
    expected = {
        "mean": -0.27690674596006026,
        "sd": 2.298871350665305,
        "mcse_mean": 0.24798881698943406,
        "mcse_sd": 0.12483929235667594,
        "ess_bulk": 85.69274888463413,
        "ess_tail": 242.28670948901726,
        "r_hat": 1.0380599411332447,
    }
    assert row[list(expected)].to_dict() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-20, 1e200])
def test_errors_do_not_depend_on_the_unit(x64, scale):
    """ArviZ takes draws in a range below 1e-15 for constant, and then their number for the effective sample size."""
    base, row = (summary(Chains({"x": correlated(s)})).loc["x"] for s in (1.0, scale))
    for name in ("sd", "mcse_mean", "mcse_sd"):
        assert row[name] == pytest.approx(scale * base[name], rel=1e-6)
    assert row["ess_bulk"] == pytest.approx(base["ess_bulk"])


def test_chains_that_never_moved_say_so():
    kernel = hmc(Density("normal", lambda x: -0.5 * x**2), step_size=1e4, steps=8)
    row = summary(sample_chains(kernel, KEY, jnp.array([0.3]), 1000)).loc["x"]
    # One value: no spread from which to tell an error, where ArviZ has 1000 effective draws and an error of 0.
    assert row[["distinct", "ess_bulk", "ess_tail"]].tolist() == [1, 1, 1]
    assert row["sd"] == 0 and row[["mcse_mean", "mcse_sd", "r_hat"]].isna().all()
    apart = summary(Chains({"x": jnp.arange(4.0)[:, None] + jnp.zeros((4, 1000))})).loc["x"]
    assert apart["distinct"] == 4 and apart["r_hat"] == np.inf and apart["ess_bulk"] < 4.1


def test_what_is_constant_by_construction_has_no_sample_size():
    table = summary(Chains({"x": jax.random.normal(KEY, (4, 100)), "c": jnp.ones((4, 100))}))
    assert table.loc["c", "distinct"] == 1 and table.loc["c", ["ess_bulk", "ess_tail", "r_hat"]].isna().all()
    assert table.loc["x", "ess_bulk"] > 100


def test_draws_that_are_not_finite_have_no_sample_size():
    draws = jax.random.normal(KEY, (2, 100))
    table = summary(Chains({"nan": draws.at[0, 0].set(jnp.nan), "inf": draws.at[0, 0].set(jnp.inf), "x": draws}))
    assert table.loc[["nan", "inf"], ["mean", "ess_bulk", "ess_tail", "r_hat"]].isna().all(axis=None)
    assert np.isfinite(table.loc["x"]).all()


@pytest.mark.parametrize("count", [1, 2])
def test_clouds_collapsed_onto_one_value_are_one_particle(count):
    row = summary([spawn(200, jnp.ones(200))] * count).loc["x"]
    assert row[["distinct", "ess_bulk", "ess_tail"]].tolist() == [1, 1, 1] and np.isnan(row["mcse_mean"])


def test_all_weight_on_one_particle_is_one_particle():
    for values in (jax.random.normal(KEY, (200,)), jnp.arange(200)):
        cloud = spawn(200, values).replace(log_weights=jnp.where(jnp.arange(200) == 7, 0.0, -jnp.inf))
        assert summary(cloud, key=KEY).loc["x", ["distinct", "ess_bulk"]].tolist() == [1, 1]


def test_equal_particles_count_once_wherever_they_stand():
    """Five values in 200 lanes at random: ArviZ sees no dependence between neighbors."""
    lanes = np.random.default_rng(1).integers(0, 5, 200)
    row = summary(spawn(200, jax.random.normal(KEY, (5,))[lanes])).loc["x"]
    assert row["distinct"] == 5 and row["ess_bulk"] <= 5 and row["ess_tail"] <= 5
    assert row["mcse_mean"] >= row["sd"] / np.sqrt(5)


def test_discrete_particles_may_be_equal_by_chance():
    cloud = spawn(200, jax.random.bernoulli(KEY, 0.5, (200,)).astype(int))
    assert summary(cloud).loc["x", "ess_bulk"] > 100


def test_a_heavy_tail_of_the_evidence_over_runs_has_no_finite_error():
    # Z-hat of Pareto's law with shape 1 has no mean, and with shape .1 an ordinary error.
    u = np.random.default_rng(0).uniform(size=100)
    for shape in (1.0, 0.1):
        runs = [spawn(200, jnp.arange(200.0)).replace(log_evidence=jnp.asarray(-shape * np.log(x))) for x in u]
        if shape < 1:
            row = summary(runs).loc["log_z"]
            assert row["pareto_k"] < 0.5 and np.isfinite(row["mcse_mean"])
        else:
            with pytest.warns(UserWarning, match="100 runs has a long tail"):
                row = summary(runs).loc["log_z"]
            assert row["pareto_k"] > 0.7 and np.isposinf(row["mcse_mean"])
    with pytest.warns(UserWarning, match="4 runs has a long tail"):
        summary([spawn(4, jnp.arange(4.0)).replace(log_evidence=jnp.asarray(z)) for z in (0.0, 1.0, 4.0, -3.0)])


def test_summary_has_the_acceptance_of_moves():
    ours = from_numpyro(gaussian, 1.2)
    for step, lowest in ((0.2, 0.8), (1e4, 0.0)):
        sampler = tempered_smc(ours.prior, ours.likelihood, eqx.Partial(hmc, step_size=step, steps=2), [0.5, 1.0])
        runs = [sample(sampler, jax.random.key(i), 200) for i in range(2)]
        assert all(run.status is (Status.OK if lowest else Status.COLLAPSED) for run in runs)
        rate = summary(runs, model=ours, key=KEY).loc["log_z", "acceptance"]
        assert rate >= lowest and (lowest or rate == 0)
