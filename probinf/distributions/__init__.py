"""Finite distributions drawn through `choice`, so that every sampler over them can be enumerated.

Continuous distributions are numpyro's: `Draw(numpyro.distributions.Normal(0.0, 1.0))` needs nothing from
here.
"""

from probinf.distributions._categorical import Categorical as Categorical
from probinf.distributions._hidden_markov import Emission as Emission
from probinf.distributions._hidden_markov import HiddenMarkovModel as HiddenMarkovModel
from probinf.distributions._hidden_markov import InitialState as InitialState
from probinf.distributions._hidden_markov import Observation as Observation
from probinf.distributions._hidden_markov import Path as Path
from probinf.distributions._hidden_markov import Step as Step
