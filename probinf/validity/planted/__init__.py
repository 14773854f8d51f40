"""A catalogue of wrong samplers, each seen in a peer, in print or in a first draft; the checks must catch them all."""

from __future__ import annotations

from probinf.validity._report import KernelCase, SamplerCase
from probinf.validity.planted._composition import composition_bugs
from probinf.validity.planted._kernels import kernel_bugs
from probinf.validity.planted._model import observations as observations
from probinf.validity.planted._model import small_filter as small_filter
from probinf.validity.planted._model import small_hmm as small_hmm
from probinf.validity.planted._model import small_paths as small_paths
from probinf.validity.planted._particle import extended_case as extended_case
from probinf.validity.planted._particle import particle_bugs
from probinf.validity.planted._particle import path_case as path_case
from probinf.validity.planted._particle import small_pimh as small_pimh
from probinf.validity.planted._particle import small_pmmh as small_pmmh
from probinf.validity.planted._resampling import resampling_bugs


def planted_bugs() -> tuple[SamplerCase | KernelCase, ...]:
    """Every wrong sampler of the catalogue, as cases for `check_case`."""
    return (*resampling_bugs(), *kernel_bugs(), *particle_bugs(), *composition_bugs())
