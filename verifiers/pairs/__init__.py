"""Second-order calibration: a model that was taught with pairs of responses knows what it does not know.

Source: arXiv 2402.08733, of which this is, as far as we know, the first public implementation.
"""

from probinf.verifiers.pairs._calibration import covered as covered
from probinf.verifiers.pairs._calibration import expected_calibration_error as expected_calibration_error
from probinf.verifiers.pairs._calibration import second_order_calibration_error as second_order_calibration_error
from probinf.verifiers.pairs._calibration import worst_decile as worst_decile
from probinf.verifiers.pairs._checks import check_responses as check_responses
from probinf.verifiers.pairs._decoders import Admitted as Admitted
from probinf.verifiers.pairs._decoders import MostProbable as MostProbable
from probinf.verifiers.pairs._decoders import PairReward as PairReward
from probinf.verifiers.pairs._decoders import PairVerifier as PairVerifier
from probinf.verifiers.pairs._decoders import hallucination_bound as hallucination_bound
from probinf.verifiers.pairs._decoders import rejection_decoder as rejection_decoder
from probinf.verifiers.pairs._decoders import respond as respond
from probinf.verifiers.pairs._decoders import selective_filter as selective_filter
from probinf.verifiers.pairs._decoders import top_admitted as top_admitted
from probinf.verifiers.pairs._estimates import squared_error_from_counts as squared_error_from_counts
from probinf.verifiers.pairs._estimates import squared_error_from_pairs as squared_error_from_pairs
from probinf.verifiers.pairs._fit import PairModel as PairModel
from probinf.verifiers.pairs._fit import PairTraining as PairTraining
from probinf.verifiers.pairs._grouped import grouped_pairs as grouped_pairs
from probinf.verifiers.pairs._heads import ChainHead as ChainHead
from probinf.verifiers.pairs._heads import DirichletHead as DirichletHead
from probinf.verifiers.pairs._heads import Head as Head
from probinf.verifiers.pairs._heads import JointHead as JointHead
from probinf.verifiers.pairs._heads import MixtureHead as MixtureHead
from probinf.verifiers.pairs._heads import PairNetwork as PairNetwork
from probinf.verifiers.pairs._heads import Perceptron as Perceptron
from probinf.verifiers.pairs._intervals import error_ratio_bound as error_ratio_bound
from probinf.verifiers.pairs._intervals import error_ratio_bounds as error_ratio_bounds
from probinf.verifiers.pairs._intervals import half_width as half_width
from probinf.verifiers.pairs._intervals import mean_upper_bound as mean_upper_bound
from probinf.verifiers.pairs._markov import MarkovMixture as MarkovMixture
from probinf.verifiers.pairs._markov import MarkovMixtureHead as MarkovMixtureHead
from probinf.verifiers.pairs._prediction import CovariancePrediction as CovariancePrediction
from probinf.verifiers.pairs._prediction import Dirichlet as Dirichlet
from probinf.verifiers.pairs._prediction import EpistemicPrediction as EpistemicPrediction
from probinf.verifiers.pairs._prediction import Mixture as Mixture
from probinf.verifiers.pairs._prediction import Moments as Moments
from probinf.verifiers.pairs._prediction import PairTable as PairTable
from probinf.verifiers.pairs._sequences import PairLanguageModel as PairLanguageModel
from probinf.verifiers.pairs._sequences import ScoredResponses as ScoredResponses
from probinf.verifiers.pairs._sequences import SequencePairs as SequencePairs
from probinf.verifiers.pairs._sequences import ordered_loss as ordered_loss
from probinf.verifiers.pairs._training import Ensemble as Ensemble
from probinf.verifiers.pairs._training import response_loss as response_loss
from probinf.verifiers.pairs._training import train_pairs as train_pairs
