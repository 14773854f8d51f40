"""Errors for settings with which a baseline would say nothing."""

from __future__ import annotations

from probinf._arguments import is_count


def check_samples(samples: int) -> None:
    """Raises ValueError for fewer than two samples, which have no variance."""
    if not is_count(samples, 2):
        raise ValueError(f"a mixture over samples needs two or more of them, got {samples}: one has no variance")
