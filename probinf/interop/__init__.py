"""Bridges to other libraries: models that users have, and what others make of results."""

from probinf.interop._arviz import plot_trace as plot_trace
from probinf.interop._arviz import to_arviz as to_arviz
from probinf.interop._blackjax import BlackjaxKernel as BlackjaxKernel
from probinf.interop._blackjax import from_blackjax as from_blackjax
from probinf.interop._numpyro import NumpyroModel as NumpyroModel
from probinf.interop._numpyro import from_numpyro as from_numpyro
from probinf.interop._summary import summary as summary
from probinf.interop._warmup import Warmup as Warmup
from probinf.interop._warmup import warmup as warmup
