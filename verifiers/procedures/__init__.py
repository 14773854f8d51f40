"""Procedures whose every intermediate state is known: tasks, exact checkers of steps, and process rewards."""

from probinf.verifiers.procedures._procedures import PROCEDURES as PROCEDURES
from probinf.verifiers.procedures._procedures import Instance as Instance
from probinf.verifiers.procedures._procedures import Procedure as Procedure
from probinf.verifiers.procedures._procedures import prefix_match as prefix_match
from probinf.verifiers.procedures._procedures import procedure_instance as procedure_instance
from probinf.verifiers.procedures._procedures import states_of as states_of
from probinf.verifiers.procedures._reward import StepReward as StepReward
from probinf.verifiers.procedures._reward import right_steps as right_steps
