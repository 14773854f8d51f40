"""Imperfect verifiers: what retrying until acceptance buys, what it costs, and what counts of samples tell of it.

Two names that are often confused: the false positive rate is P(accept | wrong), the false discovery rate is
P(wrong | accept).

Source: arXiv 2411.17501, whose model this is, with its utility corrected (`docs/errata.md`).
"""

from probinf.verifiers.imperfect._beta import BetaPopulation as BetaPopulation
from probinf.verifiers.imperfect._beta_binomial import BetaBinomialFit as BetaBinomialFit
from probinf.verifiers.imperfect._beta_binomial import fit_beta_binomial as fit_beta_binomial
from probinf.verifiers.imperfect._calculus import apparent_coverage as apparent_coverage
from probinf.verifiers.imperfect._calculus import break_even_cost as break_even_cost
from probinf.verifiers.imperfect._calculus import conditional_accuracy as conditional_accuracy
from probinf.verifiers.imperfect._calculus import forced_accuracy as forced_accuracy
from probinf.verifiers.imperfect._calculus import generalization_gap as generalization_gap
from probinf.verifiers.imperfect._calculus import macro_ppv as macro_ppv
from probinf.verifiers.imperfect._calculus import micro_ppv as micro_ppv
from probinf.verifiers.imperfect._calculus import optimal_attempts as optimal_attempts
from probinf.verifiers.imperfect._calculus import posterior_after_rejections as posterior_after_rejections
from probinf.verifiers.imperfect._calculus import ppv_at_attempt as ppv_at_attempt
from probinf.verifiers.imperfect._calculus import utility as utility
from probinf.verifiers.imperfect._composition import Rates as Rates
from probinf.verifiers.imperfect._composition import compose_all as compose_all
from probinf.verifiers.imperfect._composition import compose_at_least as compose_at_least
from probinf.verifiers.imperfect._concentration import ConcentrationDraws as ConcentrationDraws
from probinf.verifiers.imperfect._concentration import credible_interval as credible_interval
from probinf.verifiers.imperfect._concentration import sample_concentrations as sample_concentrations
from probinf.verifiers.imperfect._counts import SampleCounts as SampleCounts
from probinf.verifiers.imperfect._counts import estimate_outcomes as estimate_outcomes
from probinf.verifiers.imperfect._counts import estimate_utilities as estimate_utilities
from probinf.verifiers.imperfect._counts import pass_all as pass_all
from probinf.verifiers.imperfect._counts import pass_at as pass_at
from probinf.verifiers.imperfect._dirichlet import DirichletCounts as DirichletCounts
from probinf.verifiers.imperfect._intervals import Interval as Interval
from probinf.verifiers.imperfect._intervals import acceptance_bound as acceptance_bound
from probinf.verifiers.imperfect._intervals import ceiling_bounds as ceiling_bounds
from probinf.verifiers.imperfect._intervals import ceiling_interval as ceiling_interval
from probinf.verifiers.imperfect._intervals import clopper_pearson as clopper_pearson
from probinf.verifiers.imperfect._intervals import plausible_attempts as plausible_attempts
from probinf.verifiers.imperfect._intervals import simultaneous_band as simultaneous_band
from probinf.verifiers.imperfect._intervals import task_interval as task_interval
from probinf.verifiers.imperfect._optimum import optimal_attempts_of_two_types as optimal_attempts_of_two_types
from probinf.verifiers.imperfect._payoff import Payoff as Payoff
from probinf.verifiers.imperfect._population import Outcomes as Outcomes
from probinf.verifiers.imperfect._population import Population as Population
from probinf.verifiers.imperfect._population import TaskPopulation as TaskPopulation
from probinf.verifiers.imperfect._power_law import PowerLaw as PowerLaw
from probinf.verifiers.imperfect._power_law import fit_power_law as fit_power_law
from probinf.verifiers.imperfect._rates import RateEstimates as RateEstimates
from probinf.verifiers.imperfect._rates import estimate_rates as estimate_rates
from probinf.verifiers.imperfect._selected import Selected as Selected
from probinf.verifiers.imperfect._selected import select_attempts as select_attempts
from probinf.verifiers.imperfect._slopes import ceiling_slopes as ceiling_slopes
from probinf.verifiers.imperfect._slopes import value_of_rates as value_of_rates
