"""Unusual designs are right: by brute force over every outcome, with none of the checks of `probinf.validity`."""

import contextlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf._choice import choice_p, uniform_cells_p
from probinf.cases._attack_model import Prior
from probinf.cases._unusual import unusual_cases
from probinf.cases._unusual_clouds import unusual_clouds
from probinf.cases._unusual_kernels import PROPOSAL, unusual_kernels
from probinf.cases._unusual_weights import IndependentSums, unusual_weights
from probinf.validity import KernelCase, SamplerCase

PRIOR, LIKELIHOOD = np.array([0.2, 0.5, 0.3]), np.array([0.9, 0.2, 0.5])
START, STEP = np.array([0.6, 0.4]), np.array([[0.7, 0.3], [0.2, 0.8]])
FIRST, SECOND = np.array([0.9, 0.35]), np.array([0.1, 0.65])
POSTERIOR = PRIOR * LIKELIHOOD
RATIOS = np.array([0.6, 0.3, 0.1])
SERIES = PRIOR * (1 + RATIOS + RATIOS**2)
# Unnormalised densities of both states of the model of two steps.
STEPS = (START * FIRST)[:, None] * STEP * SECOND[None]
OUTCOMES = np.array([[1.0, 2.0], [3.0, 1.0], [0.5, 4.0]])
ESTIMATES = np.array([[0.4 * 1.5, 0.6 * 2 / 3], [0.4 * 0.25, 0.6 * 1.5], [0.4 * 2, 0.6 / 3]])
# Each target in plain numpy, as a table with one axis for each entry of the value.
KERNELS = {
    "delayed acceptance": POSTERIOR,
    "multiple-try Metropolis": POSTERIOR,
    "correlated pseudo-marginal": POSTERIOR[:, None] * ESTIMATES,
    "exchange algorithm": PRIOR * OUTCOMES[:, 1] / OUTCOMES.sum(axis=1),
    "backward sampling in particle Gibbs": np.einsum("i,ij,j,jk,k->ijk", START * FIRST, STEP, SECOND, STEP, SECOND),
    "lifted chain on a ring": np.outer(POSTERIOR, [0.5, 0.5]),
    "heat bath from a table in float32": POSTERIOR,
    "involution given by a table": POSTERIOR,
    "Gibbs cycle of reducible parts": np.array([[0.1, 0.3, 0.05], [0.25, 0.1, 0.2]]),
    "Gibbs, one part alone": np.array([[0.1, 0.3, 0.05], [0.25, 0.1, 0.2]]),
}
SAMPLERS = {
    "single term of an alternating series, signed": PRIOR * (1 - RATIOS + RATIOS**2),
    "single-term estimate of a series": SERIES,
    "Russian roulette with independent sums": SERIES,
    "roulette in float32 against a float64 target": SERIES,
    "tables in float32 captured by a closure": POSTERIOR,
    "law and likelihood in float32 as fields": POSTERIOR,
    "log-likelihoods near -900": POSTERIOR,
    "log-likelihoods near +900": POSTERIOR,
    "reverse annealed importance sampling": PRIOR / POSTERIOR.sum(),
    "sequential importance sampling with rejection control": STEPS,
    "antithetic pairs of lanes": PRIOR,
    "one stratum a lane": POSTERIOR,
    "deterministic mixture of proposals": POSTERIOR,
    "weights with a control variate": POSTERIOR,
    "waste recycling": POSTERIOR,
    "one uniform for all islands, on the union of breaks": STEPS,
    "one uniform for all islands, by vmap over one key": STEPS,
    "partial resampling": STEPS,
    "residual resampling with a random remainder": STEPS,
    "splitting": STEPS,
    "alive particle filter within a budget": (START * FIRST)[:, None] * STEP * np.array([[0.0, 1.0]]),
    "marginal weights": STEPS.sum(axis=0),
}
# Log-masses are read relative to these.
SCALES = {"log-likelihoods near -900": -900.0, "log-likelihoods near +900": 900.0}
# Fields of float32 are right to 1e-7; a wrong design is off by 1e-3 and more.
TOLERANCE = 1e-6


class Script:
    """Plays worlds in parallel, one row each: every draw takes the next digit of the number of its world."""

    def __init__(self, worlds):
        self.left, self.log_prob, self.arities = np.arange(worlds), np.zeros(worlds), []
        self.used = set()

    def digits(self, log_prob):
        """One outcome for each of R draws, given log-probabilities of shape (worlds, R, outcomes)."""
        worlds, draws, outcomes = log_prob.shape
        picks = np.zeros((worlds, draws), np.int64)
        for r in range(draws):
            self.arities.append(outcomes)
            self.left, picks[:, r] = np.divmod(self.left, outcomes)
        self.log_prob += np.take_along_axis(log_prob, picks[:, :, None], axis=2)[:, :, 0].sum(axis=1)
        return picks

    def distinct(self, key):
        """How many keys there are, none of which an earlier draw used."""
        keys = {row.tobytes() for row in np.asarray(jax.random.key_data(key)).reshape(key.size, -1)}
        assert not keys & self.used
        self.used |= keys
        return len(keys)

    def choice(self, key, logits, *, draws):
        """A draw of an index, as the primitive defines it."""
        assert self.distinct(key) == key.size
        logits = np.asarray(logits, np.float64)
        dead = np.max(logits, axis=-1, keepdims=True) == -np.inf
        logits = np.where(dead, np.where(np.arange(logits.shape[-1]) == 0, 0.0, -np.inf), logits)
        log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
        rows = np.repeat(log_p.reshape(len(logits), -1, 1, logits.shape[-1]), math.prod(draws), axis=2)
        picks = self.digits(rows.reshape(len(logits), -1, logits.shape[-1]))
        return jnp.asarray(picks.reshape(*logits.shape[:-1], *draws), jnp.int32)

    def uniform_cells(self, key, breaks):
        """A uniform in the middle of a cell; rows of one key share it, and then the breaks of all of them count."""
        shape = breaks.shape[:-1]
        shared = self.distinct(key) < key.size
        cells = -1 if shared else breaks.shape[-1]
        rows = np.asarray(breaks, np.float64).reshape(shape[0], 1 if shared else math.prod(shape[1:]), cells)
        rim = np.zeros((*rows.shape[:-1], 1))
        edges = np.sort(np.concatenate([rim, np.clip(rows, 0.0, 1.0), rim + 1.0], axis=-1))
        with np.errstate(divide="ignore"):
            picks = self.digits(np.log(np.diff(edges)))[..., None]
        middle = np.take_along_axis((edges[..., :-1] + edges[..., 1:]) / 2, picks, axis=-1)[..., 0]
        return jnp.asarray(np.broadcast_to(middle, (shape[0], math.prod(shape[1:]))).reshape(shape), breaks.dtype)


@contextlib.contextmanager
def played(script):
    """Every draw of the library comes from the script."""
    before = choice_p.impl, uniform_cells_p.impl
    choice_p.impl, uniform_cells_p.impl = script.choice, script.uniform_cells
    try:
        yield
    finally:
        choice_p.impl, uniform_cells_p.impl = before


def every_outcome(run):
    """Log-probabilities and outputs of `run(key)` in all worlds, run eagerly in float64."""
    with jax.enable_x64(True), jax.disable_jit():
        worlds = 1
        for _ in range(2):
            script = Script(worlds)
            with played(script):
                outputs = jax.vmap(run)(jax.random.split(jax.random.key(1), worlds))
            worlds = math.prod(script.arities)
    assert abs(np.exp(script.log_prob).sum() - 1) < 1e-6
    return script.log_prob, jax.tree.map(np.asarray, outputs)


def table_of(values, mass, shape):
    """The mass of each value, as a table with one axis for each entry of the value."""
    table = np.zeros(shape)
    np.add.at(table, tuple(values.reshape(len(mass), -1).T), mass)
    return table


def matrix_of(case, shape):
    """The transition matrix on all cells of the table."""
    rows = []
    for state in np.ndindex(shape):
        start = jnp.asarray(state, jnp.int32).reshape(np.shape(case.states)[1:])
        log_prob, ends = every_outcome(lambda key, start=start: case.kernel(key, start)[0])
        rows.append(table_of(ends, np.exp(log_prob), shape).reshape(-1))
    return np.array(rows)


def measure_of(case, shape, log_weights, scale):
    """The mean measure of a sampler on a cloud that comes in with weights and evidence 0.3, divided by its mass."""
    log_weights = np.array(log_weights)

    def run(key):
        start = pi.spawn(len(log_weights)).replace(log_weights=jnp.asarray(log_weights), log_evidence=jnp.asarray(0.3))
        cloud, _ = case.sampler(key, start)
        signed = isinstance(cloud.values, pi.Signed)
        values, sign = (cloud.values.value, cloud.values.sign) if signed else (cloud.values, jnp.ones(cloud.n))
        return values, cloud.log_weights + cloud.log_evidence - jnp.log(cloud.n), sign

    log_prob, (values, log_mass, sign) = every_outcome(run)
    mass = sign * np.exp(log_prob[:, None] + log_mass - 0.3 - scale) / np.exp(log_weights).mean()
    return table_of(values.reshape(mass.size, -1), mass.reshape(-1), shape)


def test_every_design_has_a_target_here():
    names = [case.name for case in unusual_cases()]
    assert len(names) == len(set(names)) >= 17
    assert set(names) == set(KERNELS) | set(SAMPLERS)


@pytest.mark.parametrize("case", unusual_kernels(), ids=lambda case: case.name)
def test_kernel_keeps_its_target(case):
    pi_ = KERNELS[case.name].reshape(-1) / KERNELS[case.name].sum()
    matrix = matrix_of(case, KERNELS[case.name].shape)
    assert np.abs(pi_ @ matrix - pi_).max() < TOLERANCE
    # It goes everywhere, from everywhere, unless it is one part of a cycle.
    assert bool(np.linalg.matrix_power(matrix, 30).min() > 0) == case.ergodic
    stated = np.exp(case.log_target - np.logaddexp.reduce(case.log_target))
    assert np.abs(stated - pi_).max() < 1e-12


@pytest.mark.parametrize("case", [*unusual_weights(), *unusual_clouds()], ids=lambda case: case.name)
def test_sampler_is_properly_weighted(case):
    target, scale = SAMPLERS[case.name], SCALES.get(case.name, 0.0)
    found = measure_of(case, target.shape, np.linspace(-0.4, 0.7, case.n), scale)
    assert np.abs(found - target).max() < TOLERANCE * target.sum()


def test_lifted_chain_is_not_reversible():
    case = next(case for case in unusual_kernels() if case.name == "lifted chain on a ring")
    flow = KERNELS[case.name].reshape(-1, 1) * matrix_of(case, (3, 2))
    assert np.abs(flow - flow.T).max() > 0.01


class ForgetsProposal(pi.Kernel):
    """Metropolis-Hastings that leaves the proposal out of its ratio."""

    def __call__(self, key, x):
        propose_key, accept_key = jax.random.split(key)
        log_p = jnp.log(jnp.asarray(POSTERIOR))
        y = pi.choice(propose_key, jnp.log(jnp.array(PROPOSAL))[x])
        return jnp.where(pi.flip(accept_key, log_p[y] - log_p[x]), y, x), ()

    @property
    def invariant(self):
        return pi.Measure()


class CutsEstimates(IndependentSums):
    """Roulette whose estimates are cut, so that they are no longer unbiased."""

    def log_estimate(self, key, x):
        return jnp.minimum(super().log_estimate(key, x), 0.5)


def test_brute_force_sees_wrong_designs():
    kernel = KernelCase("wrong", ForgetsProposal(), np.arange(3), np.log(POSTERIOR))
    law = POSTERIOR / POSTERIOR.sum()
    assert np.abs(law @ matrix_of(kernel, (3,)) - law).max() > 0.01
    sampler = SamplerCase("wrong", pi.Draw(Prior()) >> CutsEstimates())
    assert np.abs(measure_of(sampler, (3,), np.zeros(2), 0.0) - SERIES).max() > 0.01
