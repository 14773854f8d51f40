"""Traced programs: their meaning, trace Metropolis-Hastings and resample-move, exact on a lattice of traces."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.cases._representations import WithoutFactor
from probinf.cases._traced_models import branching, branching_measure, lattice, stopping, stopping_log_weights
from probinf.representations import (
    First,
    Rejuvenate,
    Run,
    Spawn,
    Then,
    Traced,
    TraceValue,
    UniformTrace,
    advance,
    checkpoints,
    finish,
    hoist_first,
    marginal,
    sequentially,
    trace_metropolis,
    trace_resample_move,
)
from probinf.validity import (
    BrokenTrace,
    check_green,
    check_means,
    check_proper_weighting,
    check_trace,
    detailed_balance_error,
    expected_measure,
    invariance_error,
    kernel_matrix,
    largest_difference,
    row_sum_error,
)

KEY = jax.random.key(0)
TRACES = lattice(3, 4)


def matrix(kernel):
    return kernel_matrix(lambda key, x: kernel(key, x)[0], TRACES, grid=4)


def by_length(m):
    """The transition matrix between numbers of draws, from the stationary law."""
    weights = np.exp(stopping_log_weights(TRACES))
    pi_, used = weights / weights.sum(), np.asarray(jax.vmap(stopping().run)(jnp.asarray(TRACES)).value)
    return np.array([[(pi_[used == a] @ m[used == a][:, used == b]).sum() for b in (1, 2, 3)] for a in (1, 2, 3)])


def test_trace_metropolis_keeps_weight_times_lebesgue(x64):
    found = matrix(trace_metropolis(stopping()))
    assert row_sum_error(found) < 1e-13
    assert invariance_error(found, stopping_log_weights(TRACES)) < 1e-14
    # Redrawing what is not in use comes first, so it is the law between values that is reversible.
    flow = by_length(found)
    np.testing.assert_allclose(flow, flow.T, rtol=0, atol=1e-15)
    assert flow.min() > 1e-3
    exchange = matrix(trace_metropolis(stopping()).move)
    assert detailed_balance_error(exchange, stopping_log_weights(TRACES)) < 1e-14


def test_trace_metropolis_is_an_instance_of_green():
    points = jax.random.uniform(jax.random.key(3), (400, 3))
    report = check_green(trace_metropolis(stopping()), KEY, points)
    assert report.error < 1e-12 and report.ratio is not None
    # Without n / n' the ratio is off by a factor of up to three, at a pair whose numbers of draws differ.
    lied = check_green(WithoutFactor(stopping(), 0), KEY, points)
    assert lied.ratio == pytest.approx(np.log(3), abs=1e-12) and lied.antisymmetry < 1e-12
    x, v = lied.where["ratio"]
    lengths = {
        int(stopping().run(jnp.asarray(t)).value) for t in (x, np.where(np.arange(3) == v.site, v.coordinate, x))
    }
    assert lengths == {1, 3}


def test_marginal_is_the_program(x64):
    sampler = marginal(branching())
    assert check_proper_weighting(sampler, 2, target=branching_measure(4), grid=4).error < 1e-14
    assert sampler.meaning(pi.Measure()).guarantee is pi.Guarantee.PROPER


def test_resample_move_is_the_composition_of_the_paper(x64):
    traced = branching()
    transformation = Rejuvenate(traced, pi.Resample(), 1)
    program = hoist_first(First(Spawn(2)), checkpoints(traced))
    # marginal . finish . (advance . hoist_first (trace_mh . hoist resample)) . hoist_first (hoist spawn)
    written = finish(advance(hoist_first(transformation, program))) >> pi.Map(TraceValue(traced))
    rolled = trace_resample_move(traced, 2)
    *before, scan, value = stages(rolled)
    assert isinstance(scan, pi.Scan)
    assert pi.Chain((*before, *stages(scan.at(scan.row(0))), value)) == written
    assert written.meaning(pi.Measure()).same_law(rolled.meaning(pi.Measure()))
    # Without moves the composition is sequential Monte Carlo on traces.
    adaptive = pi.Resample(ess=0.9)
    plain = finish(sequentially(Then(adaptive), program)) >> pi.Map(TraceValue(traced))
    measures = [
        expected_measure(s, 1, grid=2)[0] for s in (plain, trace_resample_move(traced, 2, moves=0, resample=adaptive))
    ]
    assert largest_difference(*measures) < 1e-14
    assert largest_difference(measures[0], branching_measure(2)) < 1e-14


def stages(sampler):
    assert isinstance(sampler, pi.Chain)
    return sampler.stages


def test_moves_for_another_checkpoint_are_refused_before_the_run():
    traced = branching()
    head = hoist_first(First(Spawn(2)), checkpoints(traced)).head
    late = head >> pi.Move(trace_metropolis(traced, 1))
    with pytest.raises(pi.MeaningError, match="weight 1"):
        late.meaning(pi.Measure())
    with pytest.raises(pi.MeaningError, match="checkpoints"):
        Rejuvenate(traced)(pi.Draw(UniformTrace(2)))
    with pytest.raises(pi.MeaningError, match="checkpoints"):
        Rejuvenate(traced).before(pi.Resample())


class Smooth(eqx.Module):
    """A second coordinate is drawn if the first is large; every score is smooth within the branches."""

    slope: jax.Array

    def __call__(self, trace):
        long = trace[0] > 0.4
        early = self.slope * trace[0] + jnp.where(long, jnp.sin(3 * trace[1]), 0.5)
        middle = early - 2.0 * (trace[2] - 0.7) ** 2
        late = middle + trace[0] * trace[3]
        used = jnp.where(long, jnp.array([2, 3, 4]), jnp.array([1, 3, 4]))
        return Run(trace, jnp.stack([early, middle, late]), used)


def moments(trace):
    return jnp.concatenate([jnp.ones(1), trace, (trace[:1] > 0.4).astype(float)])


def exact_moments(slope, points=24):
    """Expectations under the weight, by Gauss-Legendre quadrature on either side of the branch."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    nodes, weights = (nodes + 1) / 2, weights / 2
    firsts = np.concatenate([0.4 * nodes, 0.4 + 0.6 * nodes])
    a, b, c, d = np.meshgrid(firsts, nodes, nodes, nodes, indexing="ij", sparse=True)
    log_w = slope * a + np.where(a > 0.4, np.sin(3 * b), 0.5) - 2 * (c - 0.7) ** 2 + a * d
    first_weights = np.concatenate([0.4 * weights, 0.6 * weights])
    mass = np.exp(log_w) * np.einsum("a,b,c,d->abcd", first_weights, weights, weights, weights)
    return np.array([(mass * f).sum() for f in (1.0, a, b, c, d, a > 0.4)])


def test_resample_move_on_continuous_traces():
    """Six means by z-tests on 16384 runs: a right sampler fails with probability 1e-6."""
    sampler = trace_resample_move(Traced(Smooth(jnp.asarray(1.0)), 4), 4)
    check = check_means(sampler, 1, moments, exact_moments(1.0), jax.random.key(11))
    assert check.p_value > 1e-6
    # The test sees a mean that is off by two percent.
    assert np.all(np.abs(check.errors) < 0.02 * exact_moments(1.0) / 5)


def test_check_trace_finds_a_broken_promise():
    for traced in (branching(), stopping(), Traced(Smooth(jnp.asarray(1.0)), 4)):
        check_trace(traced, KEY)
    with pytest.raises(BrokenTrace, match="weight at checkpoint 0 depends"):
        check_trace(Traced(Peeks(), 2), KEY)
    with pytest.raises(BrokenTrace, match="more than length=2"):
        check_trace(Traced(Overdraws(), 2), KEY)


class Peeks(eqx.Module):
    def __call__(self, trace):
        return Run(trace[0], trace[1][None], jnp.array([1]))


class Overdraws(eqx.Module):
    def __call__(self, trace):
        return Run(trace[0], jnp.zeros(1), jnp.where(trace[0] < 0.5, 3, 1)[None])


def test_a_trace_that_is_too_short_is_reported():
    result = pi.sample(marginal(Traced(Overdraws(), 2)), KEY, 64)
    assert result.status is pi.Status.INVALID
    short = np.asarray(result.particles.values) < 0.5
    assert np.all((result.particles.log_weights == -jnp.inf) == short) and 0 < short.sum() < 64


def test_new_data_does_not_compile_anew():
    traces = []

    @eqx.filter_jit
    def run(kernel, key, x):
        traces.append(None)
        return kernel(key, x)[0]

    outs = [
        run(trace_metropolis(Traced(Smooth(jnp.asarray(slope)), 4), c), KEY, jnp.full(4, 0.5))
        for slope, c in ((0.3, 0), (0.7, 1))
    ]
    assert len(traces) == 1 and outs[0].shape == (4,)


def test_errors_name_the_fix():
    with pytest.raises(ValueError, match="at least one coordinate"):
        Traced(Peeks(), 0)
    with pytest.raises(ValueError, match=r"arrays of shape \[1\]"):
        Traced(lambda trace: Run(trace, trace[:2], jnp.array([1])), 2)
    with pytest.raises(ValueError, match="moves=-1"):
        trace_resample_move(branching(), 2, moves=-1)
    with pytest.raises(ValueError, match="1 checkpoints cannot be advanced 2 times"):
        trace_resample_move(branching(), 2, steps=2)
