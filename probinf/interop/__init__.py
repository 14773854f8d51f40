"""Bridges to other libraries: models that users have, and what others make of results."""

from probinf.interop._numpyro import NumpyroModel as NumpyroModel
from probinf.interop._numpyro import from_numpyro as from_numpyro
