"""The rows of `probinf check`: all that is shipped, on models small enough to check, and all planted bugs.

The catalogue of wrong samplers that need nothing from `probinf.samplers` is `probinf.validity.planted`; here those that
do are added, each beside the right one.
"""

from __future__ import annotations

from probinf.cases._budgets import budgets_bugs, budgets_cases
from probinf.cases._core import core_cases
from probinf.cases._deduction import deduction_bugs, deduction_cases
from probinf.cases._deliberation import deliberation_bugs, deliberation_cases
from probinf.cases._interop import interop_bugs, interop_cases
from probinf.cases._kernels import kernels_bugs, kernels_cases
from probinf.cases._pairs import pairs_bugs, pairs_cases
from probinf.cases._reasoning import reasoning_bugs, reasoning_cases
from probinf.cases._reasoning_kernels import reasoning_kernels_bugs, reasoning_kernels_cases
from probinf.cases._representations import representations_bugs, representations_cases
from probinf.cases._scale import scale_bugs, scale_cases
from probinf.cases._selection import selection_bugs, selection_cases
from probinf.cases._speculation import speculation_bugs, speculation_cases
from probinf.cases._state_space import state_space_bugs, state_space_cases
from probinf.cases._tempering import tempering_bugs, tempering_cases
from probinf.cases._transformers import transformer_bugs, transformer_cases
from probinf.cases._votes import votes_bugs, votes_cases
from probinf.validity import KernelCase, SamplerCase
from probinf.validity.planted import planted_bugs


def shipped_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """One case or more for every primitive, scheme, kernel and published sampler."""
    return (
        *core_cases(),
        *representations_cases(),
        *state_space_cases(),
        *tempering_cases(),
        *kernels_cases(),
        *interop_cases(),
        *reasoning_cases(),
        *scale_cases(),
        *reasoning_kernels_cases(),
        *transformer_cases(),
        *pairs_cases(),
        *deliberation_cases(),
        *deduction_cases(),
        *votes_cases(),
        *selection_cases(),
        *budgets_cases(),
        *speculation_cases(),
    )


def planted_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """Every wrong sampler and kernel, each of which some check must catch."""
    return (
        *planted_bugs(),
        *representations_bugs(),
        *state_space_bugs(),
        *tempering_bugs(),
        *kernels_bugs(),
        *interop_bugs(),
        *reasoning_bugs(),
        *scale_bugs(),
        *reasoning_kernels_bugs(),
        *transformer_bugs(),
        *pairs_bugs(),
        *deliberation_bugs(),
        *deduction_bugs(),
        *votes_bugs(),
        *selection_bugs(),
        *budgets_bugs(),
        *speculation_bugs(),
    )
