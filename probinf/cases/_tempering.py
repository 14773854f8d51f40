"""Cases of this area: what is shipped, and what is wrong on purpose."""

from __future__ import annotations

from probinf.validity import KernelCase, SamplerCase


def tempering_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """What is shipped."""
    return ()


def tempering_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """What is wrong on purpose."""
    return ()
