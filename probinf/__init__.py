"""Probabilistic inference and verification as one calculus of weighted particles.

`Particles` is the noun, `Sampler` the verb, `>>` the only glue; `probinf.validity` checks what a sampler claims.
"""

from probinf._chains import CachedKernel as CachedKernel
from probinf._chains import ChainDraws as ChainDraws
from probinf._chains import sample_chains as sample_chains
from probinf._choice import choice as choice
from probinf._choice import flip as flip
from probinf._choice import uniform_cells as uniform_cells
from probinf._citation import citation as citation
from probinf._diagnosis import Diagnosis as Diagnosis
from probinf._diagnosis import diagnose as diagnose
from probinf._explain import Explanation as Explanation
from probinf._explain import explain as explain
from probinf._measure import Density as Density
from probinf._measure import Distribution as Distribution
from probinf._measure import Factor as Factor
from probinf._measure import Guarantee as Guarantee
from probinf._measure import MeaningError as MeaningError
from probinf._measure import Measure as Measure
from probinf._measure import Named as Named
from probinf._particles import LaneState as LaneState
from probinf._particles import Particles as Particles
from probinf._particles import spawn as spawn
from probinf._particles import take_lanes as take_lanes
from probinf._primitives import Best as Best
from probinf._primitives import Choose as Choose
from probinf._primitives import Draw as Draw
from probinf._primitives import Majority as Majority
from probinf._primitives import Map as Map
from probinf._primitives import Move as Move
from probinf._primitives import Nested as Nested
from probinf._primitives import Proportional as Proportional
from probinf._primitives import Resample as Resample
from probinf._primitives import Reweight as Reweight
from probinf._primitives import Rule as Rule
from probinf._primitives import Scan as Scan
from probinf._primitives import Twist as Twist
from probinf._primitives import Verified as Verified
from probinf._primitives import While as While
from probinf._run import Result as Result
from probinf._run import RunError as RunError
from probinf._run import sample as sample
from probinf._sampler import Chain as Chain
from probinf._sampler import Info as Info
from probinf._sampler import Kernel as Kernel
from probinf._sampler import Sampler as Sampler
from probinf._signed import Signed as Signed
from probinf._status import Status as Status

__version__ = "0.1.0"
