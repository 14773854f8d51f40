"""A hidden Markov model small enough to list every path."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinf as pi
from probinf.distributions import HiddenMarkovModel, Path
from probinf.samplers import bootstrap_filter
from probinf.validity import enumerate_law, kernel_matrix

LOG_INITIAL = np.log([0.3, 0.7])
LOG_TRANSITION = np.log([[0.8, 0.2], [0.4, 0.6]])
LOG_EMISSION = np.log([[0.9, 0.1], [0.25, 0.75]])
OBSERVATIONS = (0, 1, 0)


class Transition(eqx.Module):
    """A kernel without its info, as `kernel_matrix` wants it."""

    kernel: pi.Kernel

    def __call__(self, key, x):
        return self.kernel(key, x)[0]


class Chains:
    """What the tests of kernels on paths share."""

    @staticmethod
    def matrix(kernel, states, limit=2_000_000):
        return kernel_matrix(Transition(kernel), states, limit=limit)

    @staticmethod
    def model(steps=3):
        return HiddenMarkovModel(LOG_INITIAL, LOG_TRANSITION, LOG_EMISSION, steps)

    @staticmethod
    def observations(steps=3):
        return jnp.array(OBSERVATIONS[:steps])

    @classmethod
    def filter(cls, scheme, steps=3, ess=None, hmm=None):
        hmm = cls.model(steps) if hmm is None else hmm
        rows = hmm.rows(cls.observations(steps))
        return bootstrap_filter(hmm.initial(), hmm.step, hmm.emission, rows, resample=pi.Resample(scheme, ess=ess))

    @staticmethod
    def paths(steps=3):
        states = jnp.array(list(itertools.product([0, 1], repeat=steps)), jnp.int32)
        return Path(states, jnp.full(len(states), steps, jnp.int32))

    @classmethod
    def log_posterior(cls, steps=3):
        """Log-density of every path, by the forward product written out."""
        states, seen = np.asarray(cls.paths(steps).states), OBSERVATIONS[:steps]
        log_p = LOG_INITIAL[states[:, 0]] + LOG_EMISSION[states[:, 0], seen[0]]
        for t in range(1, steps):
            log_p += LOG_TRANSITION[states[:, t - 1], states[:, t]] + LOG_EMISSION[states[:, t], seen[t]]
        return log_p

    @staticmethod
    def law(f, *args):
        """Distinct outputs of `f(key, *args)` and their log-probabilities."""
        law = enumerate_law(f, jax.random.key(0), *args).grouped()
        return law.outputs, law.log_prob


@pytest.fixture
def chains(x64):
    return Chains
