"""The small hidden Markov model on which bugs are planted: every outcome of a filter on it can be read."""

from __future__ import annotations

import functools

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from probinf._primitives import Draw, Reweight, Scan
from probinf._sampler import Sampler
from probinf.distributions import HiddenMarkovModel, Observation, Path
from probinf.validity._denote import denote
from probinf.validity._finite import FiniteMeasure


def small_hmm(steps: int = 3) -> HiddenMarkovModel:
    """Two states, two symbols, nothing symmetric."""
    return HiddenMarkovModel(
        np.log([0.6, 0.4]), np.log([[0.7, 0.3], [0.2, 0.8]]), np.log([[0.9, 0.1], [0.35, 0.65]]), steps
    )


def observations(steps: int = 3) -> Observation:
    """What was seen."""
    return small_hmm(steps).rows(jnp.array([0, 1, 1, 0])[:steps])


class FilterStage(eqx.Module):
    """Resample, propagate, weigh: one step of the bootstrap filter with a resampler of one's choice."""

    hmm: HiddenMarkovModel
    resample: Sampler

    def __call__(self, row: Observation) -> Sampler:
        """The stage at one time."""
        return self.resample >> Draw(self.hmm.step(row)) >> Reweight(self.hmm.emission(row))


def small_filter(resample: Sampler, steps: int = 3) -> Sampler:
    """A bootstrap filter on the small model."""
    hmm, rows = small_hmm(steps), observations(steps)
    first, later = Observation(rows.t[0], rows.y[0]), Observation(rows.t[1:], rows.y[1:])
    return Draw(hmm.initial()) >> Reweight(hmm.emission(first)) >> Scan(FilterStage(hmm, resample), later)


class NoResampling(Sampler):
    """Leaves the cloud alone."""

    def __call__(self, key, cloud):
        """The cloud."""
        del key
        return cloud, ()

    def meaning(self, m):
        """What came in."""
        return m


def small_paths(steps: int = 3) -> FiniteMeasure:
    """The exact unnormalised law of the small model's paths given what was seen."""
    return _paths(steps, str(jnp.zeros(()).dtype))


@functools.cache
def _paths(steps: int, precision: str) -> FiniteMeasure:
    # The model's tables have the precision in force when it is built: one result for each.
    del precision
    return denote(small_filter(NoResampling(), steps), FiniteMeasure((), np.zeros(1))).merged()


def path_states(steps: int = 3) -> Path:
    """All paths of the small model, as states of a kernel on paths."""
    measure = small_paths(steps)
    return Path(jnp.asarray(measure.values.states), jnp.asarray(measure.values.t))
