"""Answers that follow from premises, answers that do not, and silence where nothing follows."""

from probinf.verifiers.deduction._honesty import ABSTAIN as ABSTAIN
from probinf.verifiers.deduction._honesty import Derivable as Derivable
from probinf.verifiers.deduction._honesty import Honest as Honest
from probinf.verifiers.deduction._honesty import HonestyReport as HonestyReport
from probinf.verifiers.deduction._honesty import honest_answer as honest_answer
from probinf.verifiers.deduction._honesty import honest_deduction as honest_deduction
from probinf.verifiers.deduction._honesty import honesty_report as honesty_report
from probinf.verifiers.deduction._horn import Claim as Claim
from probinf.verifiers.deduction._horn import Entailment as Entailment
from probinf.verifiers.deduction._horn import HornTheory as HornTheory
from probinf.verifiers.deduction._horn import horn_theory as horn_theory
from probinf.verifiers.deduction._tasks import DeductionTask as DeductionTask
from probinf.verifiers.deduction._tasks import deduction_task as deduction_task
