"""Several kernels in turn."""

from __future__ import annotations

from typing import Any

import jax
from jax.core import Tracer
from jaxtyping import PRNGKeyArray

from probinf._choice import check_key
from probinf._measure import MeaningError, Measure
from probinf._sampler import Info, Kernel


class Cycle(Kernel):
    """Applies kernels of one invariant measure in order.

    Law: keeps that measure, though a cycle of reversible kernels is not reversible.

    Raises: ValueError for no kernel; MeaningError where two kernels keep different measures.
    """

    kernels: tuple[Kernel, ...]

    def __check_init__(self):
        """Rejects kernels that do not agree."""
        if not self.kernels:
            raise ValueError("Cycle needs at least one kernel")
        check_agreement(self.kernels, type(self).__name__)

    def __call__(self, key: PRNGKeyArray, x: Any) -> tuple[Any, tuple[Info, ...]]:
        """One transition of each."""
        check_key(key)
        infos = []
        for kernel, kernel_key in zip(self.kernels, jax.random.split(key, len(self.kernels)), strict=True):
            x, info = kernel(kernel_key, x)
            infos.append(info)
        return x, tuple(infos)

    @property
    def invariant(self) -> Measure:
        """The measure that all of them keep.

        Raises: MeaningError where they disagree.
        """
        return agreed_invariant(self.kernels, type(self).__name__)


def agreed_invariant(kernels: tuple[Kernel, ...], who: str) -> Measure:
    """The measure that all kernels keep.

    Raises: MeaningError where they disagree.
    """
    first, *others = (kernel.invariant for kernel in kernels)
    for other in others:
        if not first.same_law(other):
            raise MeaningError(
                f"the kernels of a {who} must keep one measure, got '{first.name}' and '{other.name}': "
                "build them for the same target"
            )
    return first


def check_agreement(kernels: tuple[Kernel, ...], who: str) -> None:
    """The same at construction.

    Raises: MeaningError where they disagree.
    """
    # Inside a trace measures cannot be compared; `invariant` does so once they are concrete.
    if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(kernels)):
        agreed_invariant(kernels, who)
