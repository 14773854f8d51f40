"""Figures and claims: data apart from ink, criteria before measurements, and no verdict hidden."""

from probinf.figures._atomic import atomic_path as atomic_path
from probinf.figures._atomic import write_text as write_text
from probinf.figures._cells import Cells as Cells
from probinf.figures._claims import Claim as Claim
from probinf.figures._claims import Finding as Finding
from probinf.figures._claims import Verdict as Verdict
from probinf.figures._claims import decide as decide
from probinf.figures._claims import update_claims as update_claims
from probinf.figures._lm_constraints_run import TextModel as TextModel
from probinf.figures._metered import Metered as Metered
from probinf.figures._registry import FIGURES as FIGURES
from probinf.figures._registry import Figure as Figure
from probinf.figures._registry import make_figure as make_figure
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
