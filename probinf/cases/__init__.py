"""The rows of `probinf check`: all that is shipped, on models small enough to check, and what the checks are held to.

The catalogue of wrong samplers that need nothing from `probinf.samplers` is `probinf.validity.planted`; here those that
do are added, each beside the right one. `attack_cases` are designs that were written to fool the checks, and
`unusual_cases` right ones that a check could take for wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from probinf.cases._attack import CAUSES as CAUSES
from probinf.cases._attack import Attack as Attack
from probinf.cases._attacks_claims import attacks_claims
from probinf.cases._attacks_distributions import attacks_distributions
from probinf.cases._attacks_draws import attacks_draws
from probinf.cases._attacks_lanes import attacks_lanes
from probinf.cases._attacks_lies import attacks_lies
from probinf.cases._attacks_numbers import attacks_numbers
from probinf.cases._attacks_runs import attacks_runs
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
from probinf.cases._unusual import unusual_cases as unusual_cases
from probinf.cases._votes import votes_bugs, votes_cases
from probinf.validity import KernelCase, SamplerCase
from probinf.validity.planted import planted_bugs


def _built_once(build: Callable[[], tuple[Any, ...]]) -> Callable[[], tuple[Any, ...]]:
    """The same cases each time: their targets take seconds, and have the precision in force when they are made."""
    built = functools.cache(lambda precision: build())

    @functools.wraps(build)
    def cases() -> tuple[Any, ...]:
        return built(str(jnp.zeros(()).dtype))

    return cases


@_built_once
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


@_built_once
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


def attack_cases() -> tuple[Attack, ...]:
    """Every design that was written to fool the checks, with the verdict that it must get."""
    return (
        *attacks_numbers(),
        *attacks_lies(),
        *attacks_lanes(),
        *attacks_distributions(),
        *attacks_claims(),
        *attacks_runs(),
        *attacks_draws(),
    )
