"""Tempering, data that come row by row, and parallel tempering: what is shipped, on models small enough to check."""

from __future__ import annotations

import jax.numpy as jnp

from probinf import Resample
from probinf.cases._tempering_bugs import tempering_bugs as tempering_bugs
from probinf.cases._tempering_models import (
    DATA,
    LADDER,
    Row,
    ladder_case,
    moments,
    sharp_adaptive,
    sharp_frozen,
    sharp_moments,
    small_keeper,
    small_ladder,
    small_likelihood,
    small_prior,
)
from probinf.resampling import Multinomial
from probinf.samplers import AdaptiveInfo, TunedHMC, ladder_of, resample_move, tempered_smc, waste_free_smc
from probinf.validity import Contract, KernelCase, SamplerCase


def tempering_cases() -> tuple[SamplerCase | KernelCase, ...]:
    """What is shipped."""
    model = (small_prior(), small_likelihood(), small_keeper)
    rows = (small_prior(), Row, DATA, small_keeper)
    multinomial = Resample(Multinomial())
    return (
        SamplerCase(
            "adaptive_tempered_smc",
            sharp_adaptive(),
            expectations=(moments, sharp_moments()),
            contract=Contract(0.5),
        ),
        SamplerCase(
            "tempered_smc, twice moved, at ladder_of a run", tempered_smc(*model, ladder_of(_found()), moves=2), n=1
        ),
        SamplerCase(
            "tempered_smc, TunedHMC at settings_of a run",
            sharp_frozen(TunedHMC(steps=3)),
            n=16,
            expectations=(moments, sharp_moments()),
        ),
        SamplerCase("waste_free_smc", waste_free_smc(*model, LADDER, length=2), n=4),
        SamplerCase("waste_free_smc, one chain", waste_free_smc(*model, LADDER, length=2, resample=multinomial)),
        SamplerCase("resample_move", resample_move(*rows)),
        SamplerCase("resample_move, ess", resample_move(*rows, resample=Resample(ess=0.9))),
        ladder_case("parallel_tempering", small_ladder()),
        # Swaps alone only keep the target: no value is new.
        ladder_case("parallel_tempering, even swaps alone", small_ladder().swap(0))._replace(ergodic=False),
        ladder_case("parallel_tempering, odd swaps alone", small_ladder().swap(1))._replace(ergodic=False),
    )


def _found() -> AdaptiveInfo:
    """What a run that used two of its three rungs would report."""
    return AdaptiveInfo(jnp.int32(0), jnp.int32(2), jnp.array([0.3, 1.0, 1.0]), jnp.array([0.5, 0.8, 0.0]), ())
