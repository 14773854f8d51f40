"""Cases of this area: what is shipped, and what is wrong on purpose."""

from __future__ import annotations

from probinf.validity import KernelCase, SamplerCase


def interop_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """What is shipped."""
    return ()


def interop_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """What is wrong on purpose."""
    return ()
