"""Distribution Transformers: networks that map a prior and data to a posterior, in one forward pass.

Source: arXiv 2502.02463.
"""

from probinf.transformers_dist._corrected import corrected as corrected
from probinf.transformers_dist._filtering import MixtureFilter as MixtureFilter
from probinf.transformers_dist._frame import Frame as Frame
from probinf.transformers_dist._frame import frame_of as frame_of
from probinf.transformers_dist._network import NetworkConfig as NetworkConfig
from probinf.transformers_dist._network import published_config as published_config
from probinf.transformers_dist._problem import Family as Family
from probinf.transformers_dist._problem import Problem as Problem
from probinf.transformers_dist._shipped import RECIPES as RECIPES
from probinf.transformers_dist._shipped import Recipe as Recipe
from probinf.transformers_dist._shipped import load as load
from probinf.transformers_dist._training import TrainingConfig as TrainingConfig
from probinf.transformers_dist._training import train as train
from probinf.transformers_dist._training import transformer_loss as transformer_loss
from probinf.transformers_dist._transformer import DistributionTransformer as DistributionTransformer
from probinf.transformers_dist._transformer import Pushed as Pushed
from probinf.transformers_dist._transformer import log_loss as log_loss
from probinf.transformers_dist._transformer import untrained as untrained
from probinf.transformers_dist._view import Look as Look
from probinf.transformers_dist._view import View as View
