"""Figures and claims: data apart from ink, criteria before measurements, and no verdict hidden."""

import typing
from importlib import import_module
from typing import Any

from probinf.figures._atomic import atomic_path as atomic_path
from probinf.figures._atomic import write_text as write_text
from probinf.figures._cells import Cells as Cells
from probinf.figures._claims import Claim as Claim
from probinf.figures._claims import Finding as Finding
from probinf.figures._claims import Verdict as Verdict
from probinf.figures._claims import decide as decide
from probinf.figures._claims import update_claims as update_claims
from probinf.figures._registry import FIGURES as FIGURES
from probinf.figures._registry import Figure as Figure
from probinf.figures._registry import make_figure as make_figure
from probinf.figures._registry import quick_figures as quick_figures

if typing.TYPE_CHECKING:
    from probinf.figures._scaling_bench import Plan as Plan
    from probinf.figures._scaling_claims import particle_scaling_ablations_claims as particle_scaling_ablations_claims
    from probinf.figures._scaling_claims import particle_scaling_curve_claims as particle_scaling_curve_claims
    from probinf.figures.lm_constraints import Budget as Budget
    from probinf.figures.lm_constraints import lm_constraints_claims as lm_constraints_claims
    from probinf.figures.lm_constraints import lm_constraints_data as lm_constraints_data
    from probinf.figures.lm_constraints import plot_lm_constraints as plot_lm_constraints
    from probinf.figures.particle_scaling_ablations import (
        particle_scaling_ablations_data as particle_scaling_ablations_data,
    )
    from probinf.figures.particle_scaling_ablations import (
        plot_particle_scaling_ablations as plot_particle_scaling_ablations,
    )
    from probinf.figures.particle_scaling_curve import particle_scaling_curve_data as particle_scaling_curve_data
    from probinf.figures.particle_scaling_curve import plot_particle_scaling_curve as plot_particle_scaling_curve
    from probinf.figures.validity_bias import plot_validity_bias as plot_validity_bias
    from probinf.figures.validity_bias import validity_bias_claims as validity_bias_claims
    from probinf.figures.validity_bias import validity_bias_data as validity_bias_data
    from probinf.figures.validity_errors import plot_validity_errors as plot_validity_errors
    from probinf.figures.validity_errors import validity_errors_claims as validity_errors_claims
    from probinf.figures.validity_errors import validity_errors_data as validity_errors_data
    from probinf.figures.validity_evidence import plot_validity_evidence as plot_validity_evidence
    from probinf.figures.validity_evidence import validity_evidence_claims as validity_evidence_claims
    from probinf.figures.validity_evidence import validity_evidence_data as validity_evidence_data
    from probinf.figures.validity_power import plot_validity_power as plot_validity_power
    from probinf.figures.validity_power import validity_power_claims as validity_power_claims
    from probinf.figures.validity_power import validity_power_data as validity_power_data

# Names of single figures, and where they are: a figure is loaded when it is asked for.
_LATER = {
    "Plan": "_scaling_bench",
    "particle_scaling_ablations_claims": "_scaling_claims",
    "particle_scaling_curve_claims": "_scaling_claims",
    "Budget": "lm_constraints",
    "lm_constraints_claims": "lm_constraints",
    "lm_constraints_data": "lm_constraints",
    "plot_lm_constraints": "lm_constraints",
    "particle_scaling_ablations_data": "particle_scaling_ablations",
    "plot_particle_scaling_ablations": "particle_scaling_ablations",
    "particle_scaling_curve_data": "particle_scaling_curve",
    "plot_particle_scaling_curve": "particle_scaling_curve",
    "plot_validity_bias": "validity_bias",
    "validity_bias_claims": "validity_bias",
    "validity_bias_data": "validity_bias",
    "plot_validity_errors": "validity_errors",
    "validity_errors_claims": "validity_errors",
    "validity_errors_data": "validity_errors",
    "plot_validity_evidence": "validity_evidence",
    "validity_evidence_claims": "validity_evidence",
    "validity_evidence_data": "validity_evidence",
    "plot_validity_power": "validity_power",
    "validity_power_claims": "validity_power",
    "validity_power_data": "validity_power",
}


def __getattr__(name: str) -> Any:
    """Load the module of a figure's name.

    Raises: AttributeError for an unknown name.
    """
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    """All names, those of single figures too."""
    return sorted({*globals(), *_LATER})
