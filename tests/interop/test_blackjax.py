"""BlackJAX's kernels as kernels that state what they keep: the same draws, no second gradient, no second program."""

import subprocess
import sys
from typing import Any

import blackjax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import probinf as pi
from probinf.interop import from_blackjax, warmup

KEY = jax.random.key(0)
traces = []


class Bent(pi.Factor):
    """A bent density on the plane that notes each time Python reads it."""

    bend: jax.Array = eqx.field(converter=lambda x: jnp.asarray(x, float))
    name: str = eqx.field(static=True, default="bent")

    def log_density(self, x):
        traces.append(None)
        return -0.5 * x[0] ** 2 - 0.5 * (x[1] - self.bend * x[0] ** 2) ** 2


def nuts(bend=0.5, step_size=0.4):
    return from_blackjax(blackjax.nuts, Bent(bend), step_size=step_size, inverse_mass_matrix=jnp.array([1.0, 2.0]))


STARTS = jnp.array([[0.1, 0.2], [-0.5, 1.0]])


def test_draws_are_those_of_blackjax_called_directly():
    result = pi.sample_chains(nuts(), KEY, STARTS, 20)
    algorithm: Any = blackjax.nuts(Bent(0.5).log_density, 0.4, jnp.array([1.0, 2.0]))

    @jax.jit
    def run(key, x):
        def step(state, key):
            state, info = algorithm.step(key, state)
            return state, (state.position, info.acceptance_rate)

        return jax.lax.scan(step, algorithm.init(x), jax.random.split(key, 20))[1]

    positions, rates = jax.vmap(run)(jax.random.split(KEY, 2), STARTS)
    np.testing.assert_array_equal(result.values, positions)
    np.testing.assert_array_equal(result.info.acceptance_rate, rates)
    # What would fill the memory of a long run is left out.
    assert result.info.momentum is None and result.info.trajectory_leftmost_state is None


def test_new_parameters_and_data_do_not_trace_again():
    pi.sample_chains(nuts(), KEY, STARTS, 5)
    traces.clear()
    results = [pi.sample_chains(nuts(b, h), jax.random.key(2), STARTS, 5) for b, h in [(0.2, 0.1), (0.9, 0.6)]]
    assert traces == []
    assert not np.allclose(results[0].values, results[1].values)


def test_one_gradient_a_leapfrog_step():
    calls = []

    def log_density(x):
        jax.debug.callback(lambda: calls.append(None))
        return -0.5 * jnp.sum(x**2)

    kernel = from_blackjax(
        blackjax.hmc,
        pi.Density("counted", log_density),
        step_size=0.3,
        inverse_mass_matrix=jnp.ones(2),
        num_integration_steps=3,
    )
    pi.sample_chains(kernel, KEY, STARTS[:1], 4)
    jax.effects_barrier()
    # One for the check of the start, one for the first state, three for each of four trajectories.
    assert len(calls) == 2 + 3 * 4


@pytest.mark.parametrize(
    ("algorithm", "parameters"),
    [(blackjax.mala, {"step_size": 0.5}), (blackjax.slice_sampling, {})],
)
def test_chains_stay_in_their_target(algorithm, parameters):
    """Kolmogorov-Smirnov on 2000 independent chains from exact draws: a right kernel fails with probability 1e-6."""
    x_key, e_key = jax.random.split(KEY)
    x = jax.random.normal(x_key, (2000,))
    starts = jnp.stack([x, 0.5 * x**2 + jax.random.normal(e_key, (2000,))], axis=1)
    kernel = from_blackjax(algorithm, Bent(0.5), **parameters)
    end = np.asarray(pi.sample_chains(kernel, jax.random.key(3), starts, 3).values[:, -1], np.float64)
    assert stats.kstest(end[:, 0], stats.norm.cdf).pvalue > 1e-6
    assert stats.kstest(end[:, 1] - 0.5 * end[:, 0] ** 2, stats.norm.cdf).pvalue > 1e-6
    assert np.mean(np.any(end != np.asarray(starts), axis=1)) > 0.5


@pytest.mark.parametrize("cov", [jnp.array([[2.0, 0.3], [0.3, 1.0]]), jnp.array([2.0, 1.0])])
def test_elliptical_slice_keeps_its_prior_times_the_likelihood(cov):
    kernel = from_blackjax(blackjax.elliptical_slice, Bent(0.1), mean=jnp.zeros(2), cov=cov)
    assert kernel.invariant.name == "N(mean, cov) * bent"
    x = jnp.array([0.3, -0.7])
    matrix = cov if cov.ndim == 2 else jnp.diag(cov)
    expected = jax.scipy.stats.multivariate_normal.logpdf(x, jnp.zeros(2), matrix) + Bent(0.1).log_density(x)
    assert abs(float(kernel.invariant.log_density(x) - expected)) < 1e-5
    assert pi.sample_chains(kernel, KEY, STARTS, 2).values.shape == (2, 2, 2)


def test_a_cloud_moves_by_it_only_where_it_keeps_the_measure():
    target = Bent(0.5)
    kernel = from_blackjax(blackjax.barker, target, step_size=0.5)
    measure = pi.Measure((target,), (1.0,))
    assert pi.Move(kernel).meaning(measure).same_law(measure)
    with pytest.raises(pi.MeaningError, match="leaves 'bent' invariant"):
        pi.Move(kernel).meaning(target**0.5)


@pytest.mark.parametrize("algorithm", [blackjax.mclmc, blackjax.sgld, blackjax.ghmc, blackjax.dhmc])
def test_algorithms_that_keep_no_target_are_refused(algorithm):
    with pytest.raises(pi.MeaningError, match="is not known to keep the target"):
        from_blackjax(algorithm, Bent(0.5), step_size=0.1)


def test_independent_proposals_without_their_density_are_refused():
    """BlackJAX takes them for symmetric; the planted case shows the error of that, and is given a density of one."""
    fresh = lambda key: jax.random.normal(key, (2,))  # noqa: E731
    with pytest.raises(pi.MeaningError, match="irmh keeps its target only with the density of its proposal"):
        from_blackjax(blackjax.irmh, Bent(0.5), proposal_distribution=fresh)
    right = from_blackjax(
        blackjax.irmh,
        Bent(0.5),
        proposal_distribution=fresh,
        proposal_logdensity_fn=lambda here, there: -0.5 * jnp.sum(there.position**2),
    )
    assert right.invariant.name == "bent"


def test_what_is_no_algorithm_or_start_is_refused():
    with pytest.raises(ValueError, match="chain 1 starts where 'bent'"):
        warmup(Bent(0.5), KEY, jnp.array([[0.0, 0.0], [0.0, jnp.nan]]))
    with pytest.raises(ValueError, match="steps >= 20"):
        warmup(Bent(0.5), KEY, STARTS, steps=10)
    with pytest.raises(ValueError, match="between 0 and 1"):
        warmup(Bent(0.5), KEY, STARTS, acceptance=1.0)


def test_warmup_finds_the_scales_and_compiles_once():
    class Scaled(pi.Factor):
        scales: jax.Array
        name: str = eqx.field(static=True, default="scaled")

        def log_density(self, x):
            traces.append(None)
            return -0.5 * jnp.sum((x / self.scales) ** 2)

    scales, starts = jnp.array([0.1, 1.0, 10.0]), jnp.zeros((4, 3))
    tuned = warmup(Scaled(scales), KEY, starts, steps=400)
    assert tuned.step_sizes.shape == (4,) and tuned.inverse_masses.shape == (4, 3)
    # The variances, within a factor of two (some hundred draws a chain, four chains).
    ratio = np.asarray(tuned.kernel.parameters["inverse_mass_matrix"] / scales**2)
    assert np.all((ratio > 0.5) & (ratio < 2.0))
    result = pi.sample_chains(tuned.kernel, jax.random.key(1), tuned.values, 100)
    assert 0.7 < float(result.info.acceptance_rate.mean()) < 0.97
    assert result.invariant.name == "scaled"
    traces.clear()
    again = warmup(Scaled(2 * scales), jax.random.key(4), starts, steps=400, acceptance=0.9)
    pi.sample_chains(again.kernel, KEY, again.values, 100)
    assert traces == []
    assert again.kernel.parameters["step_size"] != tuned.kernel.parameters["step_size"]


def test_without_blackjax_the_error_names_the_extra():
    code = """
import sys
sys.modules["blackjax"] = None
import jax, jax.numpy as jnp
import probinf.cases._interop as cases
from probinf.interop import warmup
assert "blackjax" not in {name for name, module in sys.modules.items() if module is not None}
try:
    warmup(lambda x: -x**2, jax.random.key(0), jnp.zeros(2))
except ImportError as error:
    assert "probinf[mcmc]" in str(error)
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
