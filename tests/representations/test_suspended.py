"""Suspended programs: the checkpoints mean nothing, and valid transformations stay valid where they are hoisted."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.cases._traced_models import ModelStage, small_program
from probinf.distributions import Categorical
from probinf.kernels import conditional_smc
from probinf.representations import (
    First,
    Spawn,
    Suspended,
    Then,
    advance,
    finish,
    hoist,
    hoist_first,
    sequentially,
    smc,
    suspend,
)
from probinf.resampling import Multinomial
from probinf.samplers import bootstrap_filter
from probinf.validity import (
    check_proper_weighting,
    expected_measure,
    invariance_error,
    kernel_matrix,
    largest_difference,
)
from probinf.validity.planted import observations, small_hmm, small_paths
from probinf.validity.planted._model import path_states

pytestmark = pytest.mark.usefixtures("x64")
MULTINOMIAL = pi.Resample(Multinomial())
KEY = jax.random.key(0)


def same(a, b, n=1):
    """Largest difference of the exact measures of two samplers."""
    return largest_difference(expected_measure(a, n)[0], expected_measure(b, n)[0])


def stages(sampler):
    assert isinstance(sampler, pi.Chain)
    return sampler.stages


def plain():
    """The small model, written out without checkpoints."""
    hmm, rows = small_hmm(), observations()
    row = [jax.tree.map(lambda leaf, t=t: leaf[t], rows) for t in range(3)]
    stages = [pi.Draw(hmm.initial()), pi.Reweight(hmm.emission(row[0]))]
    for t in (1, 2):
        stages += [pi.Draw(hmm.step(row[t])), pi.Reweight(hmm.emission(row[t]))]
    return pi.Chain(tuple(stages))


def test_finishing_forgets_the_checkpoints():
    assert small_program().checkpoints == 2
    assert same(finish(small_program()), plain()) < 1e-14
    assert small_program().meaning(pi.Measure()).same_law(plain().meaning(pi.Measure()))


def test_advancing_before_finishing_changes_nothing():
    program = small_program()
    for left in (1, 0, 0):
        program = advance(program)
        assert program.checkpoints == left
        assert program.meaning(pi.Measure()).same_law(plain().meaning(pi.Measure()))
    assert same(finish(advance(small_program(2))), finish(small_program(2))) < 1e-14
    # Without a scan it is even the same sampler.
    written = suspend(*plain().stages)
    assert finish(advance(written)) == finish(written) == plain()
    assert advance(Suspended(plain())) == Suspended(plain())


def test_a_scan_at_the_start_is_stopped_after_its_first_row():
    table = jnp.log(jnp.array([0.9, 0.2, 0.5]))
    scan = pi.Draw(Categorical([0.0, 0.1, -0.4])) >> pi.Scan(Stay(), jnp.array([0.5, 1.0, 2.0]))
    program = suspend(pi.Scan(Stay(), jnp.array([0.5, 1.0, 2.0])))
    assert program.checkpoints == 2
    finished = finish(hoist_first(First(scan.stages[0]), program))
    assert same(finished, scan) < 1e-14
    counted = suspend(pi.Draw(Categorical(table)), pi.Scan(pi.Reweight(Weigh(jnp.array(1.0))), length=3))
    assert counted.checkpoints == 3 and advance(counted).checkpoints == 2
    assert same(finish(advance(advance(advance(counted)))), finish(counted)) < 1e-14
    # As one stage of a chain a scan has no checkpoints inside.
    assert suspend(scan.stages[0], pi.Chain((scan.stages[1],))).checkpoints == 1


class Weigh(eqx.Module):
    tilt: jax.Array

    def __call__(self, x):
        return self.tilt * jnp.array([0.3, -0.2, 0.7])[x]


class Stay(eqx.Module):
    def __call__(self, tilt):
        return pi.Reweight(Weigh(tilt))


@pytest.mark.parametrize(
    ("lift", "transformation"),
    [(hoist, Then(MULTINOMIAL)), (hoist, lambda s: pi.Nested(s, 2)), (hoist_first, First(pi.Resample(ess=0.8)))],
    ids=["resample", "nested", "first"],
)
def test_hoisting_a_valid_transformation_keeps_the_meaning(lift, transformation):
    program = small_program(2)
    hoisted = lift(transformation, program)
    assert hoisted.checkpoints == program.checkpoints
    assert check_proper_weighting(finish(hoisted), 2, target=small_paths(2)).error < 1e-13
    assert hoisted.meaning(pi.Measure()).same_law(program.meaning(pi.Measure()))


def test_hoisting_an_invalid_transformation_is_seen():
    flatten = Then(pi.Reweight(ByState()))
    error = check_proper_weighting(finish(hoist(flatten, small_program(2))), 2, target=small_paths(2)).error
    assert error > 0.1


class ByState(eqx.Module):
    def __call__(self, path):
        return 0.5 * path.states[0]


@pytest.mark.parametrize("lift", [hoist, hoist_first])
def test_hoisting_commutes_with_composition(lift):
    resample, adapt = Then(MULTINOMIAL), Then(pi.Resample(ess=0.9))
    written, program = suspend(*plain().stages), small_program()
    assert lift(adapt, lift(resample, written)) == lift(Composed(adapt, resample), written)
    # With a scan the two are the same row by row.
    one_by_one, at_once = lift(adapt, lift(resample, program)), lift(Composed(adapt, resample), program)
    assert one_by_one.head == at_once.head
    for i in range(2):
        a, b = (p.rest[0].at(p.rest[0].row(i)) for p in (one_by_one, at_once))
        assert a == b and (len(a.stages) > 2) is (lift is hoist)


class Composed(eqx.Module):
    after: Then
    before: Then

    def __call__(self, sampler):
        return self.after(self.before(sampler))


def paper(program, n, transformation, steps):
    """The line `finish . (advance . hoist_first resample)^k . hoist_first spawn`, letter by letter."""
    program = hoist_first(First(Spawn(n)), program)
    for _ in range(steps):
        program = advance(hoist_first(transformation, program))
    return finish(program)


def test_smc_is_the_composition_of_the_paper():
    rolled = smc(small_program(), 2, resample=MULTINOMIAL, steps=1)
    written = paper(small_program(), 2, Then(MULTINOMIAL), 1)
    # One step of two: the scan is cut, and both parts stay scans; written out, the first one is unrolled.
    assert [sum(isinstance(stage, pi.Scan) for stage in stages(s)) for s in (rolled, written)] == [2, 1]
    assert same(rolled, written) < 1e-13
    assert rolled.meaning(pi.Measure()).same_law(plain().meaning(pi.Measure()))
    assert finish(hoist_first(First(Spawn(2)), small_program())) == smc(small_program(), 2, steps=0)


def test_rolled_and_unrolled_are_the_same_samplers_row_by_row():
    rolled = smc(small_program(), 2, resample=MULTINOMIAL)
    written = paper(small_program(), 2, Then(MULTINOMIAL), 2)
    *before, scan = stages(rolled)
    assert isinstance(scan, pi.Scan)
    unrolled = (*before, *(stage for i in range(scan.steps) for stage in stages(scan.at(scan.row(i)))))
    assert pi.Chain(unrolled) == written


def test_smc_is_the_bootstrap_filter():
    hmm = small_hmm()
    known = bootstrap_filter(hmm.initial(), hmm.step, hmm.emission, observations(), resample=MULTINOMIAL)
    composed = smc(small_program(), 3, resample=MULTINOMIAL)
    found, reference = (
        expected_measure(smc(small_program(), 2, resample=MULTINOMIAL), 1)[0],
        expected_measure(known, 2)[0],
    )
    assert largest_difference(found, reference) < 1e-14
    # Not only the same law: the same stages, with the population spawned rather than given.
    assert isinstance(stages(composed)[0], Spawn) and len(stages(composed)) == len(stages(known)) + 1


def test_other_transformations_are_applied_to_all_that_was_done():
    nested = sequentially(Nest(), hoist_first(First(Spawn(2)), small_program(2)))
    assert nested.checkpoints == 0
    assert check_proper_weighting(finish(nested), 1, target=small_paths(2)).error < 1e-13


class Nest(eqx.Module):
    """Any sampler as a proposal: not of the form s >> r."""

    def __call__(self, sampler):
        return pi.Nested(sampler, 2)


def test_long_programs_stay_scans_and_compile_once():
    traces = []

    class Counted(eqx.Module):
        tilt: jax.Array

        def __call__(self, x):
            traces.append(None)
            return self.tilt * x

    class Step(eqx.Module):
        def __call__(self, tilt):
            return pi.Draw(Categorical(jnp.zeros(2))) >> pi.Reweight(Counted(tilt))

    def program(seed):
        tilts = jax.random.normal(jax.random.key(seed), (200,))
        return suspend(pi.Draw(Categorical(jnp.zeros(2))), pi.Scan(Step(), tilts))

    results = []
    for seed in (1, 2):
        results.append(pi.sample(smc(program(seed), 8), KEY, 1).particles.log_z)
        if seed == 1:
            first = len(traces)
    # 200 steps, and the step was read a few times only; new data did not read it again.
    assert 0 < first < 10 and len(traces) == first
    assert results[0] != results[1]


def test_spawn_keeps_values_weights_and_evidence():
    cloud = pi.Particles(jnp.array([5, 7]), jnp.array([0.3, -jnp.inf]), jnp.array(1.5), jnp.array([0.0, 2.0]))
    spawned, _ = Spawn(3)(KEY, cloud)
    assert spawned.values.tolist() == [5, 5, 5, 7, 7, 7]
    assert spawned.log_twist.tolist() == [0, 0, 0, 2, 2, 2]
    np.testing.assert_allclose(spawned.log_z, cloud.log_z, rtol=1e-15)
    assert Spawn(2)(KEY, pi.spawn(2, ["a", "b"]))[0].values == ["a", "a", "b", "b"]


def test_spawn_in_the_middle_has_a_conditional_form():
    stage = ModelStage(small_hmm(2))
    row = jax.tree.map(lambda leaf: leaf[1], observations(2))
    sampler = small_program(2).head >> Spawn(2) >> stage(row)
    kernel = conditional_smc(sampler, 2)
    matrix = kernel_matrix(lambda key, x: kernel(key, x)[0], path_states(2))
    assert invariance_error(matrix, small_paths(2).log_mass) < 1e-13


def test_errors_name_the_fix():
    program = small_program()
    with pytest.raises(ValueError, match="at least one copy"):
        Spawn(0)
    with pytest.raises(TypeError, match="wrap it in Draw"):
        Suspended(program.head, (Categorical([0.0, 0.0]),))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="2 checkpoints cannot be advanced 3 times"):
        smc(program, 2, steps=3)
    with pytest.raises(TypeError, match="maps a Sampler to a Sampler"):
        hoist_first(Meaningless(), program)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="record= to sample"):
        advance(suspend(program.head, pi.Scan(Stay(), jnp.zeros(3), record=lambda cloud, info: cloud.log_z)))


class Meaningless(eqx.Module):
    def __call__(self, sampler):
        return pi.Measure()
