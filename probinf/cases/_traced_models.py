"""Small programs for the representations: a filter with checkpoints, and traced programs of varying length."""

from __future__ import annotations

import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinf import Draw, Reweight, Sampler, Scan
from probinf.distributions import HiddenMarkovModel, Observation
from probinf.representations import Run, Suspended, Traced, suspend
from probinf.validity import FiniteMeasure
from probinf.validity.planted import observations, small_hmm


class ModelStage(eqx.Module):
    """One step of the hidden Markov model and what was seen then."""

    hmm: HiddenMarkovModel

    def __call__(self, row: Observation) -> Sampler:
        """Propagate, weigh."""
        return Draw(self.hmm.step(row)) >> Reweight(self.hmm.emission(row))


def small_program(steps: int = 3) -> Suspended:
    """The small hidden Markov model with a checkpoint after every observation but the last."""
    hmm, rows = small_hmm(steps), observations(steps)
    first, later = Observation(rows.t[0], rows.y[0]), Observation(rows.t[1:], rows.y[1:])
    return suspend(Draw(hmm.initial()) >> Reweight(hmm.emission(first)), Scan(ModelStage(hmm), later))


class Branching(eqx.Module):
    """A program whose number of draws is random, with a checkpoint in the middle.

    The first coordinate decides: below 1/2 nothing else is drawn before the checkpoint, else a second one is. After it
    the value is finished, with the second coordinate in any case.
    """

    scores: Float[Array, "2 2"]

    def __call__(self, trace: Float[Array, " L"]) -> Run:
        """The run of a trace; a value is which half each coordinate lies in."""
        halves = (trace[:2] >= 0.5).astype(jnp.int32)
        short = halves[0] == 0
        early = jnp.where(short, self.scores[0, 0], self.scores[1, 0] + trace[1])
        late = early + self.scores[0, 1] * trace[1] + self.scores[1, 1] * trace[0]
        return Run(halves, jnp.stack([early, late]), jnp.stack([jnp.where(short, 1, 2), jnp.asarray(2)]))


class Stopping(eqx.Module):
    """A program that draws until a coordinate is above 1/2, three times at most, and scores the last one."""

    scores: Float[Array, " L"]

    def __call__(self, trace: Float[Array, " L"]) -> Run:
        """The run of a trace; the value is how many coordinates were drawn."""
        stops = (trace >= 0.5).at[-1].set(True)
        used = jnp.argmax(stops) + 1
        return Run(used, (self.scores[used - 1] * trace[used - 1])[None], used[None])


def branching() -> Traced:
    """Two coordinates, two checkpoints."""
    return Traced(Branching(jnp.array([[-0.25, 1.125], [0.5, -0.75]])), 2)


def stopping() -> Traced:
    """Three coordinates, of which one, two or three are used."""
    return Traced(Stopping(jnp.array([0.5, -1.25, 2.0])), 3)


def stopping_log_weights(traces: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    """Log-weight of each trace of `stopping`, trace by trace."""
    last = np.array([next((i for i, u in enumerate(trace[:2]) if u >= 0.5), 2) for trace in traces])
    return np.array([0.5, -1.25, 2.0])[last] * traces[np.arange(len(traces)), last]


def lattice(length: int, points: int) -> Float[np.ndarray, "P L"]:
    """All traces whose coordinates are midpoints (i + 1/2) / points."""
    return (np.array(list(itertools.product(range(points), repeat=length))) + 0.5) / points


def branching_measure(points: int) -> FiniteMeasure:
    """What `branching` means on the lattice, summed by hand."""
    scores = np.array([[-0.25, 1.125], [0.5, -0.75]])
    u = lattice(2, points)
    early = np.where(u[:, 0] < 0.5, scores[0, 0], scores[1, 0] + u[:, 1])
    late = early + scores[0, 1] * u[:, 1] + scores[1, 1] * u[:, 0]
    return FiniteMeasure((u >= 0.5).astype(np.int32), late - 2 * np.log(points))
