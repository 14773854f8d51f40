"""Bounds the memory maps of compiled programs: Linux ends a process that asks for more than it allows."""

from __future__ import annotations

import gc
from pathlib import Path

import jax

_MAPS = Path("/proc/self/maps")
_LIMIT = Path("/proc/sys/vm/max_map_count")


def release_programs(share: float = 0.5) -> bool:
    """Drop JAX's compiled programs once they hold this share of the maps that Linux allows a process.

    Each compiled program keeps some twenty maps for as long as JAX caches it, and the limit is usually 65,530. Past
    it LLVM aborts the process. Dropped programs compile anew when they are next called. Elsewhere than on Linux
    nothing is done.

    Args:
        share: the part of the limit, in [0, 1], from which programs are dropped; 0 drops them in any case.

    Returns:
        Whether programs were dropped.
    """
    if not (_MAPS.exists() and _LIMIT.exists()):
        return False
    if _MAPS.read_bytes().count(b"\n") < share * int(_LIMIT.read_text()):
        return False
    jax.clear_caches()
    gc.collect()
    return True
