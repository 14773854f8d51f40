"""Conditional SMC keeps the path posterior exactly, with every scheme's conditional twin."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.distributions import Categorical, HiddenMarkovModel
from probinf.kernels import ConditionalSMC, conditional_smc
from probinf.resampling import Killing, Multinomial, Residual, Scheme, Settled, Stratified, Systematic
from probinf.validity import invariance_error, row_sum_error

SCHEMES = [Multinomial(), Systematic(), Stratified(), Residual(), Killing(), Settled(Systematic())]
# Three steps at two lanes for all, two steps at three lanes: more worlds cost more than they tell.
CASES = [(scheme, 2, 3) for scheme in SCHEMES] + [
    (Multinomial(), 3, 2),
    (Systematic(), 3, 2),
    (Settled(Systematic()), 3, 2),
    (Stratified(), 3, 2),
    (Residual(), 3, 2),
    (Killing(), 3, 2),
]


class Unconditional(Scheme):
    """The planted bug: the scheme's own law. `Draw` puts the reference back into lane 0 all the same, so with
    independent ancestors (multinomial) this is no bug; with dependent ones it is.
    """

    scheme: Scheme

    def __call__(self, key, log_weights):
        return self.scheme(key, log_weights)

    def conditional(self, key, log_weights):
        return self.scheme(key, log_weights)


class LostReference(pi.Draw):
    """The planted bug: no draw holds lane 0 to the reference."""

    def conditional(self, key, cloud, reference):
        return self(key, cloud)


def name(value):
    return repr(value).replace("()", "") if isinstance(value, Scheme) else None


@pytest.mark.parametrize(("scheme", "n", "steps"), CASES, ids=name)
def test_keeps_the_path_posterior(chains, scheme, n, steps):
    kernel = conditional_smc(chains.filter(scheme, steps), n)
    matrix = chains.matrix(kernel, chains.paths(steps))
    assert row_sum_error(matrix) < 1e-12
    assert invariance_error(matrix, chains.log_posterior(steps)) < 1e-12
    # It also gets somewhere: every path can be reached from every other.
    assert matrix.min() > 0


@pytest.mark.parametrize("scheme", [Multinomial(), Systematic()], ids=name)
def test_keeps_it_with_resampling_on_demand(chains, scheme):
    kernel = conditional_smc(chains.filter(scheme, ess=0.8), 2)
    matrix = chains.matrix(kernel, chains.paths())
    assert invariance_error(matrix, chains.log_posterior()) < 1e-12


@pytest.mark.parametrize("scheme", [Systematic(), Residual()], ids=name)
def test_unconditional_resampling_is_seen(chains, scheme):
    kernel = conditional_smc(chains.filter(Unconditional(scheme)), 2)
    matrix = chains.matrix(kernel, chains.paths())
    assert invariance_error(matrix, chains.log_posterior()) > 1e-4


def test_lost_reference_is_seen(chains):
    hmm, rows = chains.model(1), chains.model(1).rows(chains.observations(1))
    weigh = pi.Reweight(hmm.emission(jax.tree.map(lambda leaf: leaf[0], rows)))
    errors = [
        invariance_error(chains.matrix(conditional_smc(draw >> weigh, 2), chains.paths(1)), chains.log_posterior(1))
        for draw in (pi.Draw(hmm.initial()), LostReference(hmm.initial()))
    ]
    assert errors[0] < 1e-12 and errors[1] > 1e-3


def test_twist_changes_the_kernel_but_not_its_law(chains):
    hmm = chains.model()
    rows = [jax.tree.map(lambda leaf, t=t: leaf[t], hmm.rows(chains.observations())) for t in range(3)]
    # Looks one observation ahead.
    twist = pi.Density("ahead", Ahead(hmm, chains.observations()))
    plain = pi.Draw(hmm.initial()) >> pi.Reweight(hmm.emission(rows[0]))
    twisted = plain >> pi.Twist(twist)
    later = pi.Resample(Multinomial()) >> pi.Draw(hmm.step(rows[1])) >> pi.Reweight(hmm.emission(rows[1]))
    matrices = [
        chains.matrix(conditional_smc(start >> later, 2), chains.law(FirstTwo(start >> later))[0])
        for start in (plain, twisted)
    ]
    values = chains.law(FirstTwo(plain >> later))[0]
    log_posterior = (plain >> later).meaning(pi.Measure()).log_density_lanes(jax.tree.map(jnp.asarray, values), 4)
    assert max(invariance_error(matrix, log_posterior) for matrix in matrices) < 1e-12
    assert np.max(np.abs(matrices[0] - matrices[1])) > 1e-3


class FirstTwo(eqx.Module):
    sampler: pi.Sampler

    def __call__(self, key):
        return jax.tree.map(lambda leaf: leaf[0], self.sampler(key, pi.spawn(1))[0].values)


class Ahead(eqx.Module):
    hmm: HiddenMarkovModel
    observations: jax.Array

    def __call__(self, path):
        onwards = self.hmm.log_transition[path.states[path.t - 1]]
        return jax.nn.logsumexp(onwards + self.hmm.log_emission[:, self.observations[path.t]])


def test_states_its_invariant_measure(chains):
    filtering = chains.filter(Multinomial())
    kernel = conditional_smc(filtering, 2)
    assert kernel.invariant.same_law(filtering.meaning(pi.Measure()))
    stated = kernel.invariant.log_density_lanes(chains.paths(), 8)
    np.testing.assert_allclose(stated, chains.log_posterior(), rtol=0, atol=1e-13)


def test_composes_with_move(chains):
    filtering = chains.filter(Multinomial())
    smc = filtering >> pi.Move(conditional_smc(filtering, 2))
    assert smc.meaning(pi.Measure()).same_law(filtering.meaning(pi.Measure()))


def test_new_data_and_parameters_do_not_compile_anew(chains):
    traces = []

    @eqx.filter_jit
    def run(kernel, key, x):
        traces.append(None)
        return kernel(key, x)

    x = jax.tree.map(lambda leaf: leaf[0], chains.paths())
    hmm = chains.model()
    for tilt in (0.0, 0.4):
        tilted = eqx.tree_at(lambda m: m.log_initial, hmm, hmm.log_initial.at[0].add(tilt))
        kernel = conditional_smc(chains.filter(Multinomial(), hmm=tilted), 4)
        key = jax.random.key(3)
        compiled, plain = run(kernel, key, x), kernel(key, x)
        assert compiled[0].states.tolist() == plain[0].states.tolist()
        assert abs(float(compiled[1].log_z - plain[1].log_z)) < 1e-12
    assert len(traces) == 1


def test_bad_samplers_are_refused(chains):
    filtering = chains.filter(Multinomial())
    with pytest.raises(ValueError, match="n >= 2"):
        conditional_smc(filtering, 1)
    with pytest.raises(TypeError, match="expected a Sampler"):
        ConditionalSMC(chains.model(), 2)
    with pytest.raises(pi.MeaningError, match="no conditional form"):
        conditional_smc(pi.Verified(pi.Draw(Categorical([0.0, 0.0])), lambda x: 1.0 * x, 2), 2)
    with pytest.raises(pi.MeaningError, match="properly weighted"):
        conditional_smc(filtering >> pi.Choose(pi.Best(lambda x: 0.0)), 2)
