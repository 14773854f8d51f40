"""Inference representations: programs that can be stopped, steered and re-run from their trace, with their meaning.

Source: Scibior et al., "Denotational validation of higher-order Bayesian inference", arXiv 1711.03219.
"""

from probinf.representations._checkpoints import Segment as Segment
from probinf.representations._checkpoints import checkpoints as checkpoints
from probinf.representations._hoist import Appended as Appended
from probinf.representations._hoist import First as First
from probinf.representations._hoist import Then as Then
from probinf.representations._hoist import Transformation as Transformation
from probinf.representations._hoist import hoist as hoist
from probinf.representations._hoist import hoist_first as hoist_first
from probinf.representations._hoist import sequentially as sequentially
from probinf.representations._smc import smc as smc
from probinf.representations._spawn import Spawn as Spawn
from probinf.representations._spawn import SpawnInfo as SpawnInfo
from probinf.representations._suspended import Suspended as Suspended
from probinf.representations._suspended import advance as advance
from probinf.representations._suspended import finish as finish
from probinf.representations._suspended import suspend as suspend
from probinf.representations._trace_metropolis import TraceMetropolis as TraceMetropolis
from probinf.representations._trace_metropolis import TraceMetropolisInfo as TraceMetropolisInfo
from probinf.representations._trace_metropolis import trace_metropolis as trace_metropolis
from probinf.representations._trace_resample_move import Rejuvenate as Rejuvenate
from probinf.representations._trace_resample_move import trace_resample_move as trace_resample_move
from probinf.representations._traced import Run as Run
from probinf.representations._traced import Traced as Traced
from probinf.representations._traced import TraceValue as TraceValue
from probinf.representations._traced import TraceWeight as TraceWeight
from probinf.representations._traced import UniformTrace as UniformTrace
from probinf.representations._traced import marginal as marginal
