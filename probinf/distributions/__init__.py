"""Finite distributions drawn through `choice`, so that samplers over them can be enumerated; mixtures of Gaussians.

Other continuous distributions are numpyro's: `Draw(numpyro.distributions.Normal(0.0, 1.0))` needs nothing from
here.
"""

from probinf.distributions._categorical import Categorical as Categorical
from probinf.distributions._divergence import kl_estimate as kl_estimate
from probinf.distributions._divergence import kl_quadrature_1d as kl_quadrature_1d
from probinf.distributions._finite_state import FiniteDynamics as FiniteDynamics
from probinf.distributions._finite_state import FiniteStateModel as FiniteStateModel
from probinf.distributions._gmm import GMM as GMM
from probinf.distributions._gmm_fit import ChoiceInfo as ChoiceInfo
from probinf.distributions._gmm_fit import FitInfo as FitInfo
from probinf.distributions._gmm_fit import choose_components as choose_components
from probinf.distributions._gmm_fit import fit_gmm as fit_gmm
from probinf.distributions._gmm_linear import condition_components as condition_components
from probinf.distributions._gmm_linear import condition_linear as condition_linear
from probinf.distributions._gmm_linear import push_affine as push_affine
from probinf.distributions._gmm_marginal import condition_on_values as condition_on_values
from probinf.distributions._gmm_marginal import marginal as marginal
from probinf.distributions._gmm_product import multiply as multiply
from probinf.distributions._gmm_reduce import merge_components as merge_components
from probinf.distributions._gmm_reduce import moment_match as moment_match
from probinf.distributions._gmm_reduce import pad_components as pad_components
from probinf.distributions._gmm_reduce import split_components as split_components
from probinf.distributions._hidden_markov import Emission as Emission
from probinf.distributions._hidden_markov import HiddenMarkovModel as HiddenMarkovModel
from probinf.distributions._hidden_markov import InitialState as InitialState
from probinf.distributions._hidden_markov import Observation as Observation
from probinf.distributions._hidden_markov import Path as Path
from probinf.distributions._hidden_markov import Step as Step
from probinf.distributions._kalman import KalmanResult as KalmanResult
from probinf.distributions._lagged import Lag as Lag
from probinf.distributions._lagged import Lagged as Lagged
from probinf.distributions._linear_gaussian import LinearGaussianModel as LinearGaussianModel
from probinf.distributions._parameters_and_path import ParametersAndPath as ParametersAndPath
from probinf.distributions._state_space import Dynamics as Dynamics
from probinf.distributions._state_space import Pair as Pair
from probinf.distributions._state_space import Row as Row
from probinf.distributions._state_space import StateSpaceModel as StateSpaceModel
from probinf.distributions._state_space import Trajectory as Trajectory
from probinf.distributions._state_space import normal_columns as normal_columns
from probinf.distributions._stochastic_volatility import StochasticVolatilityModel as StochasticVolatilityModel
from probinf.distributions._tree_network import TreeNetwork as TreeNetwork
from probinf.distributions._tree_network import next_hops as next_hops
from probinf.distributions._tree_network import path_between as path_between
from probinf.distributions._tree_network import random_tree_network as random_tree_network
from probinf.distributions._tree_network import tree_distances as tree_distances
