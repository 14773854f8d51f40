"""Unusual designs that are right: a check that flags one of them raises a false alarm."""

from __future__ import annotations

from probinf.cases._unusual_clouds import unusual_clouds
from probinf.cases._unusual_kernels import unusual_kernels
from probinf.cases._unusual_weights import unusual_weights
from probinf.validity import KernelCase, SamplerCase


def unusual_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """Right algorithms of the literature in forms that a check could take for wrong."""
    return (*unusual_kernels(), *unusual_weights(), *unusual_clouds())
