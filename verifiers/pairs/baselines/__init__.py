"""Rivals of models of pairs: each learns from single responses, and says by other means how much it does not know.

All are heuristic about the error: where a network underfits, none of them has seen what would tell it so.
"""

from probinf.verifiers.pairs.baselines._dropout import DropoutMixture as DropoutMixture
from probinf.verifiers.pairs.baselines._dropout import DropoutNetwork as DropoutNetwork
from probinf.verifiers.pairs.baselines._dropout import train_dropout as train_dropout
from probinf.verifiers.pairs.baselines._epinet import EpinetMixture as EpinetMixture
from probinf.verifiers.pairs.baselines._epinet import EpinetNetwork as EpinetNetwork
from probinf.verifiers.pairs.baselines._epinet import train_epinet as train_epinet
from probinf.verifiers.pairs.baselines._evidential import EvidentialHead as EvidentialHead
from probinf.verifiers.pairs.baselines._evidential import evidential_loss as evidential_loss
from probinf.verifiers.pairs.baselines._evidential import train_evidential as train_evidential
from probinf.verifiers.pairs.baselines._last_layer import GaussianLastLayer as GaussianLastLayer
from probinf.verifiers.pairs.baselines._last_layer import laplace as laplace
from probinf.verifiers.pairs.baselines._last_layer import sngp as sngp
from probinf.verifiers.pairs.baselines._spectral import RandomFourierFeatures as RandomFourierFeatures
from probinf.verifiers.pairs.baselines._spectral import SpectralPerceptron as SpectralPerceptron
from probinf.verifiers.pairs.baselines._spectral import spectral_bound as spectral_bound
