"""Resample-move sequential Monte Carlo on traces.

Law: m -> the meaning of the program (PROPER), for every n and every number of moves: resampling keeps the measure, and
trace Metropolis-Hastings keeps the one that the cloud means at its checkpoint.

Source: `marginal . finish . (advance . hoist_first (trace_mh^t . hoist resample))^k . hoist_first (hoist spawn)`,
Scibior et al., "Functional programming for modular Bayesian inference", PACMPL 2 (ICFP), 2018; the move step is Gilks
and Berzuini, Journal of the Royal Statistical Society B 63 (2001).
"""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Int

from probinf._arguments import is_count
from probinf._measure import MeaningError
from probinf._primitives import Map, Move, Resample
from probinf._sampler import Chain, Sampler
from probinf.representations._checkpoints import Segment, checkpoints
from probinf.representations._hoist import Appended, First, hoist_first, sequentially
from probinf.representations._spawn import Spawn
from probinf.representations._suspended import finish
from probinf.representations._trace_metropolis import TraceMetropolis
from probinf.representations._traced import Traced, TraceValue

# Systematic resampling at every checkpoint.
_SYSTEMATIC = Resample()


class Rejuvenate(Appended):
    """The transformation s -> s >> resample >> moves, each move a trace Metropolis-Hastings step for what s means.

    Law: valid for samplers on traces that end at a checkpoint. The number of moves is static.

    Raises: ValueError for a negative number of moves; MeaningError (when applied) for a sampler that is not a traced
    program up to a checkpoint.
    """

    traced: Traced
    resample: Sampler = _SYSTEMATIC
    moves: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Rejects a negative number of moves."""
        if not is_count(self.moves, 0):
            raise ValueError(f"Rejuvenate makes zero moves or more, got moves={self.moves}")

    def __call__(self, sampler: Sampler) -> Sampler:
        """The sampler, resampled and moved at the checkpoint where it stands."""
        stages = sampler.stages if isinstance(sampler, Chain) else (sampler,)
        passed = [stage for stage in stages if isinstance(stage, Segment)]
        if not passed:
            raise MeaningError("Rejuvenate follows a traced program up to a checkpoint: start from checkpoints(traced)")
        return sampler >> self._at(passed[-1].checkpoint)

    def before(self, segment: Sampler) -> Sampler:
        """Resampled and moved at the checkpoint that the segment starts from, then the segment."""
        if not isinstance(segment, Segment) or segment.first:
            raise MeaningError("Rejuvenate stands between the segments of a traced program: use checkpoints(traced)")
        return self._at(segment.checkpoint - 1) >> segment

    def _at(self, checkpoint: Int[Array, ""]) -> Sampler:
        if not self.moves:
            return self.resample
        return self.resample >> Move(TraceMetropolis(self.traced, checkpoint), self.moves)


def trace_resample_move(
    traced: Traced, n: int, *, moves: int = 1, resample: Sampler = _SYSTEMATIC, steps: int | None = None
) -> Sampler:
    """Spawns n traces out of each lane, resamples and moves them at the first `steps` checkpoints, and keeps values.

    Law: the meaning of the program (PROPER). The end of the program is no checkpoint to act at, so `steps` is at most
    one less than its checkpoints (the default). Run it on one lane. Without moves, survivors share the coordinates
    that are still to come: one move or more draws those afresh.

    Raises: ValueError for n < 1, a negative number of moves, or too many steps.
    """
    program = hoist_first(First(Spawn(n)), checkpoints(traced))
    return finish(sequentially(Rejuvenate(traced, resample, moves), program, steps)) >> Map(TraceValue(traced))
