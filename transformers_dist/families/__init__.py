"""Families of problems that Distribution Transformers are trained on: meta-priors, simulators, and how they look."""

from probinf.transformers_dist.families._linear_gaussian import LinearData as LinearData
from probinf.transformers_dist.families._linear_gaussian import LinearGaussian as LinearGaussian
from probinf.transformers_dist.families._linear_gaussian import LinearLikelihood as LinearLikelihood
from probinf.transformers_dist.families._linear_gaussian import LinearView as LinearView
from probinf.transformers_dist.families._linear_gaussian import exact_linear as exact_linear
from probinf.transformers_dist.families._linear_gaussian import linear_evidence as linear_evidence
from probinf.transformers_dist.families._linear_gaussian import linear_gaussian as linear_gaussian
from probinf.transformers_dist.families._mixtures import draw_mixture as draw_mixture
