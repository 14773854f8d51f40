"""Solutions that are written independently of each other: what every selection without a search starts from."""

from __future__ import annotations

from probinf._primitives import Draw, Scan
from probinf._sampler import Sampler
from probinf.samplers._reasoning_filter import Writer


def solution_pool(writer: Writer) -> Sampler:
    """Writes each lane's solution to its end; rewards are recorded after each step, but nothing looks at them.

    Law: () -> p_LM(x) (EXACT): the lanes are independent draws.
    """
    return Draw(writer.start()) >> Scan(Draw(writer.step()), length=writer.max_steps)
