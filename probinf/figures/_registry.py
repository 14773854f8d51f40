"""The figures that exist, and how one is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import xarray
from matplotlib.figure import Figure as Drawing

from probinf.figures._atomic import atomic_path
from probinf.figures._cells import Cells
from probinf.figures._claims import Finding, update_claims
from probinf.figures._scaling_claims import particle_scaling_ablations_claims, particle_scaling_curve_claims
from probinf.figures.distribution_transformer_conjugate import (
    distribution_transformer_conjugate_claims,
    distribution_transformer_conjugate_data,
    plot_distribution_transformer_conjugate,
)
from probinf.figures.distribution_transformer_filter import (
    distribution_transformer_filter_claims,
    distribution_transformer_filter_data,
    plot_distribution_transformer_filter,
)
from probinf.figures.distribution_transformer_sequential import (
    distribution_transformer_sequential_claims,
    distribution_transformer_sequential_data,
    plot_distribution_transformer_sequential,
)
from probinf.figures.distribution_transformer_tasks import (
    distribution_transformer_tasks_claims,
    distribution_transformer_tasks_data,
    plot_distribution_transformer_tasks,
)
from probinf.figures.lm_constraints import lm_constraints_claims, lm_constraints_data, plot_lm_constraints
from probinf.figures.pairs_lm import pairs_lm_claims, pairs_lm_data, plot_pairs_lm
from probinf.figures.pairs_synthetic import pairs_synthetic_claims, pairs_synthetic_data, plot_pairs_synthetic
from probinf.figures.particle_scaling_ablations import (
    particle_scaling_ablations_data,
    plot_particle_scaling_ablations,
)
from probinf.figures.particle_scaling_curve import particle_scaling_curve_data, plot_particle_scaling_curve
from probinf.figures.particle_scaling_lm import (
    particle_scaling_lm_claims,
    particle_scaling_lm_data,
    plot_particle_scaling_lm,
)
from probinf.figures.validity_bias import plot_validity_bias, validity_bias_claims, validity_bias_data
from probinf.figures.validity_errors import plot_validity_errors, validity_errors_claims, validity_errors_data
from probinf.figures.validity_evidence import (
    plot_validity_evidence,
    validity_evidence_claims,
    validity_evidence_data,
)
from probinf.figures.validity_power import plot_validity_power, validity_power_claims, validity_power_data

Progress = Callable[[int, int, str], None]
# Fixed, so that a figure is a fact about the code and not about the day.
_SEED = 20250204


@dataclass(frozen=True)
class Figure:
    """A figure: its data, its drawing, and the claims that the data decide.

    `data(key, budget, cells=, progress=)` may take hours, and keeps its finished parts in `cells`. Figures of one
    `group` can be asked for together, by its name.
    """

    name: str
    paper: str
    data: Callable[..., xarray.Dataset]
    plot: Callable[[xarray.Dataset], Drawing]
    claims: Callable[[xarray.Dataset], Sequence[Finding]]
    group: str | None = None


FIGURES = {
    figure.name: figure
    for figure in (
        Figure("lm_constraints", "arXiv:2502.01618", lm_constraints_data, plot_lm_constraints, lm_constraints_claims),
        Figure(
            "particle_scaling_lm",
            "arXiv:2502.01618",
            particle_scaling_lm_data,
            plot_particle_scaling_lm,
            particle_scaling_lm_claims,
            group="particle_scaling",
        ),
        Figure(
            "particle_scaling_curve",
            "arXiv:2502.01618",
            particle_scaling_curve_data,
            plot_particle_scaling_curve,
            particle_scaling_curve_claims,
            group="particle_scaling",
        ),
        Figure(
            "particle_scaling_ablations",
            "arXiv:2502.01618",
            particle_scaling_ablations_data,
            plot_particle_scaling_ablations,
            particle_scaling_ablations_claims,
            group="particle_scaling",
        ),
        Figure(
            "distribution_transformer_conjugate",
            "arXiv:2502.02463",
            distribution_transformer_conjugate_data,
            plot_distribution_transformer_conjugate,
            distribution_transformer_conjugate_claims,
            group="distribution_transformer",
        ),
        Figure(
            "distribution_transformer_tasks",
            "arXiv:2502.02463",
            distribution_transformer_tasks_data,
            plot_distribution_transformer_tasks,
            distribution_transformer_tasks_claims,
            group="distribution_transformer",
        ),
        Figure(
            "distribution_transformer_filter",
            "arXiv:2502.02463",
            distribution_transformer_filter_data,
            plot_distribution_transformer_filter,
            distribution_transformer_filter_claims,
            group="distribution_transformer",
        ),
        Figure(
            "distribution_transformer_sequential",
            "On Sequential Bayesian Inference for Continual Learning",
            distribution_transformer_sequential_data,
            plot_distribution_transformer_sequential,
            distribution_transformer_sequential_claims,
            group="distribution_transformer",
        ),
        Figure(
            "pairs_synthetic",
            "arXiv:2402.08733",
            pairs_synthetic_data,
            plot_pairs_synthetic,
            pairs_synthetic_claims,
            group="pairs",
        ),
        Figure("pairs_lm", "arXiv:2402.08733", pairs_lm_data, plot_pairs_lm, pairs_lm_claims, group="pairs"),
        Figure(
            "validity_errors",
            "arXiv:1711.03219",
            validity_errors_data,
            plot_validity_errors,
            validity_errors_claims,
            group="validity",
        ),
        Figure(
            "validity_power",
            "arXiv:1711.03219",
            validity_power_data,
            plot_validity_power,
            validity_power_claims,
            group="validity",
        ),
        Figure(
            "validity_bias",
            "arXiv:2502.01618",
            validity_bias_data,
            plot_validity_bias,
            validity_bias_claims,
            group="validity",
        ),
        Figure(
            "validity_evidence",
            "arXiv:1711.03219",
            validity_evidence_data,
            plot_validity_evidence,
            validity_evidence_claims,
            group="validity",
        ),
    )
}


def make_figure(figure: Figure, budget: str, folder: Path, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Writes `NAME/NAME.nc`, `NAME/NAME.png` and this figure's entries of `claims.json` under `folder`.

    Each file appears whole or not at all; what `NAME/cells` holds of an interrupted run is not computed
    again. Returns the entries of this figure.

    Raises: ValueError for an unknown budget; OSError where the folder cannot be written.
    """
    place = folder / figure.name
    dataset = figure.data(jax.random.key(_SEED), budget, cells=Cells(place / "cells"), progress=progress)
    with atomic_path(place / f"{figure.name}.nc") as path:
        dataset.to_netcdf(path, engine="h5netcdf")
    with atomic_path(place / f"{figure.name}.png") as path:
        figure.plot(dataset).savefig(path)
    entries = update_claims(folder / "claims.json", figure.name, figure.claims(dataset))
    return [entry for entry in entries if entry["id"].startswith(f"{figure.name}/")]
