"""The figures that exist, and how one is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import xarray
from matplotlib.figure import Figure as Drawing

from probinf.figures._atomic import atomic_path, write_text
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
from probinf.figures.imperfect_verifiers_counts import (
    imperfect_verifiers_counts_claims,
    imperfect_verifiers_counts_data,
    plot_imperfect_verifiers_counts,
)
from probinf.figures.imperfect_verifiers_published import (
    imperfect_verifiers_published_claims,
    imperfect_verifiers_published_data,
    plot_imperfect_verifiers_published,
)
from probinf.figures.imperfect_verifiers_study import (
    imperfect_verifiers_study_claims,
    imperfect_verifiers_study_data,
    plot_imperfect_verifiers_study,
)
from probinf.figures.lm_constraints import lm_constraints_claims, lm_constraints_data, plot_lm_constraints
from probinf.figures.pairs_images import pairs_images_claims, pairs_images_data, plot_pairs_images
from probinf.figures.pairs_lake import pairs_lake_claims, pairs_lake_data, plot_pairs_lake
from probinf.figures.pairs_lm import pairs_lm_claims, pairs_lm_data, plot_pairs_lm
from probinf.figures.pairs_pi import pairs_pi_claims, pairs_pi_data, plot_pairs_pi
from probinf.figures.pairs_synthetic import (
    pairs_synthetic_claims,
    pairs_synthetic_data,
    pairs_synthetic_table,
    plot_pairs_synthetic,
)
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
from probinf.figures.reasoning_gap import plot_reasoning_gap, reasoning_gap_claims, reasoning_gap_data
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
    `group` can be asked for together, by its name. `table` says the data in Markdown. `reads` is where, if nothing else
    is said, the tables stand that the figure reads as `data=` and the package does not have.
    """

    name: str
    paper: str
    data: Callable[..., xarray.Dataset]
    plot: Callable[[xarray.Dataset], Drawing]
    claims: Callable[[xarray.Dataset], Sequence[Finding]]
    group: str | None = None
    table: Callable[[xarray.Dataset], str] | None = None
    reads: Path | None = None


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
        Figure("pairs_pi", "arXiv:2402.08733", pairs_pi_data, plot_pairs_pi, pairs_pi_claims, group="pairs"),
        Figure("pairs_lake", "arXiv:2402.08733", pairs_lake_data, plot_pairs_lake, pairs_lake_claims, group="pairs"),
        Figure(
            "pairs_synthetic",
            "arXiv:2402.08733",
            pairs_synthetic_data,
            plot_pairs_synthetic,
            pairs_synthetic_claims,
            group="pairs",
            table=pairs_synthetic_table,
        ),
        Figure(
            "imperfect_verifiers_published",
            "arXiv:2411.17501",
            imperfect_verifiers_published_data,
            plot_imperfect_verifiers_published,
            imperfect_verifiers_published_claims,
            group="imperfect_verifiers",
        ),
        Figure(
            "imperfect_verifiers_study",
            "arXiv:2411.17501",
            imperfect_verifiers_study_data,
            plot_imperfect_verifiers_study,
            imperfect_verifiers_study_claims,
            group="imperfect_verifiers",
        ),
        Figure(
            "imperfect_verifiers_counts",
            "arXiv:2411.17501",
            imperfect_verifiers_counts_data,
            plot_imperfect_verifiers_counts,
            imperfect_verifiers_counts_claims,
            group="imperfect_verifiers",
            reads=Path("../shared/data/repeated_sampling"),
        ),
        Figure(
            "pairs_images",
            "arXiv:2402.08733",
            pairs_images_data,
            plot_pairs_images,
            pairs_images_claims,
            group="pairs",
        ),
        Figure("pairs_lm", "arXiv:2402.08733", pairs_lm_data, plot_pairs_lm, pairs_lm_claims, group="pairs"),
        Figure("reasoning_gap", "arXiv:2304.03843", reasoning_gap_data, plot_reasoning_gap, reasoning_gap_claims),
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


def make_figure(
    figure: Figure, budget: str, folder: Path, *, data: Path | None = None, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Writes `NAME/NAME.nc`, `NAME/NAME.png`, `NAME/NAME.md` if it has a table, and its entries of `claims.json`.

    Each file appears whole or not at all; what `NAME/cells` holds of an interrupted run is not computed
    again. `data` is the folder of tables for a figure that reads some. Returns the entries of this figure.

    Raises: ValueError for an unknown budget; OSError where the folder cannot be written; FileNotFoundError where tables
    are missing.
    """
    place = folder / figure.name
    tables = {} if figure.reads is None else {"data": figure.reads if data is None else data}
    dataset = figure.data(jax.random.key(_SEED), budget, cells=Cells(place / "cells"), progress=progress, **tables)
    with atomic_path(place / f"{figure.name}.nc") as path:
        dataset.to_netcdf(path, engine="h5netcdf")
    with atomic_path(place / f"{figure.name}.png") as path:
        figure.plot(dataset).savefig(path)
    if figure.table is not None:
        write_text(place / f"{figure.name}.md", figure.table(dataset))
    entries = update_claims(folder / "claims.json", figure.name, figure.claims(dataset))
    return [entry for entry in entries if entry["id"].startswith(f"{figure.name}/")]
