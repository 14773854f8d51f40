"""Imperfect verifiers: what retrying until acceptance buys, what it costs, and what counts of samples tell of it.

Two names that are often confused: the false positive rate is P(accept | wrong), the false discovery rate is
P(wrong | accept).

Source: arXiv 2411.17501, whose model this is, with its utility corrected (`docs/errata.md`).
"""

from probinf.verifiers.imperfect._beta import BetaPopulation as BetaPopulation
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
from probinf.verifiers.imperfect._dirichlet import DirichletCounts as DirichletCounts
from probinf.verifiers.imperfect._optimum import optimal_attempts_of_two_types as optimal_attempts_of_two_types
from probinf.verifiers.imperfect._payoff import Payoff as Payoff
from probinf.verifiers.imperfect._population import Outcomes as Outcomes
from probinf.verifiers.imperfect._population import Population as Population
from probinf.verifiers.imperfect._population import TaskPopulation as TaskPopulation
from probinf.verifiers.imperfect._slopes import ceiling_slopes as ceiling_slopes
from probinf.verifiers.imperfect._slopes import value_of_rates as value_of_rates
