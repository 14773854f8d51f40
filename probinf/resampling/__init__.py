"""Resampling schemes, each beside the conditional twin that particle Gibbs needs."""

from probinf.resampling._adaptive import adaptive_ancestors as adaptive_ancestors
from probinf.resampling._adaptive import ess_below as ess_below
from probinf.resampling._ess import effective_sample_size as effective_sample_size
from probinf.resampling._killing import Killing as Killing
from probinf.resampling._multinomial import Multinomial as Multinomial
from probinf.resampling._residual import Residual as Residual
from probinf.resampling._scheme import Scheme as Scheme
from probinf.resampling._settled import Settled as Settled
from probinf.resampling._stratified import Stratified as Stratified
from probinf.resampling._systematic import Systematic as Systematic
