"""Sequential Monte Carlo as a composition of valid steps.

Law: m -> the meaning of the program (PROPER), for every n and every number of steps, because every factor keeps it.

Source: arXiv 1711.03219: `finish . (advance . hoist_first resample)^k . hoist_first spawn`.
"""

from __future__ import annotations

from probinf._primitives import Resample
from probinf._sampler import Sampler
from probinf.representations._hoist import First, Then, hoist_first, sequentially
from probinf.representations._spawn import Spawn
from probinf.representations._suspended import Suspended, finish

# Systematic resampling at every checkpoint.
_SYSTEMATIC = Resample()


def smc(program: Suspended, n: int, *, resample: Sampler = _SYSTEMATIC, steps: int | None = None) -> Sampler:
    """Spawns n lanes out of each lane, resamples at the first `steps` checkpoints (all of them if None), and finishes.

    Law: the meaning of the program (PROPER). Run it on one lane, `sample(smc(program, n), key, 1)`, or on several for
    as many populations side by side that resample together. Scans of segments stay scans.

    Raises: ValueError for n < 1, and for more steps than the program has checkpoints.
    """
    return finish(sequentially(Then(resample), hoist_first(First(Spawn(n)), program), steps))
