"""BlackJAX's Markov kernels, unmodified, as kernels that state what they keep.

Source: Cabezas, Corenflos, Lao and Louf, "BlackJAX: composable Bayesian inference in JAX" (arXiv 2402.10797).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, PRNGKeyArray, PyTree

from probinf._chains import CachedKernel
from probinf._choice import check_key
from probinf._measure import Factor, MeaningError, Measure, as_distribution, as_factor, as_measure
from probinf._sampler import Info

# Modules of blackjax.mcmc whose kernels keep the target and whose state is a function of the position.
_KEEP_TARGET = {
    "adjusted_mclmc",
    "barker",
    "elliptical_slice",
    "hmc",
    "mala",
    "nuts",
    "random_walk",
    "rmhmc",
    "slice",
}


class Algorithm:
    """An algorithm of BlackJAX, such as `blackjax.nuts`, as a constant of a program: the same object, the same program.

    BlackJAX's own objects cannot be hashed, which a constant must be.
    """

    def __init__(self, api: Callable[..., Any]):
        self.api = api

    @property
    def build(self) -> Callable[..., Any]:
        """The function that takes a log-density and parameters."""
        return getattr(self.api, "differentiable", self.api)

    @property
    def name(self) -> str:
        """The algorithm's module, such as `nuts`."""
        # blackjax.mhmc is a partial of the module's function.
        return getattr(getattr(self.build, "func", self.build), "__module__", "").rpartition(".")[2]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Algorithm) and self.api is other.api

    def __hash__(self) -> int:
        return hash((Algorithm, id(self.api)))

    def __repr__(self) -> str:
        return f"Algorithm({self.name})"


class BlackjaxKernel(CachedKernel):
    """A Markov kernel of BlackJAX, which runs as it is: see `from_blackjax`.

    Law: keeps `prior * target` where there is a prior, else `target`. The state is BlackJAX's own, so a chain does not
    evaluate a density or a gradient a second time.

    `parameters`: what the algorithm takes besides the log-density. Arrays are data, all else is part of the program.
    """

    algorithm: Algorithm = eqx.field(static=True)
    target: Factor
    parameters: dict[str, Any]
    prior: Factor | None = None

    def start(self, x: PyTree) -> Any:
        """BlackJAX's state at a position."""
        return self._built().init(x)

    def advance(self, key: PRNGKeyArray, state: Any) -> tuple[Any, Info]:
        """One step of BlackJAX. The info is BlackJAX's, with None for all that is not a number."""
        check_key(key)
        state, info = self._built().step(key, state)
        # Momenta and ends of trajectories would fill the memory of a long run.
        return state, info._replace(**{name: None for name in info._fields if not _is_number(getattr(info, name))})

    def value(self, state: Any) -> PyTree:
        """The position."""
        return state.position

    def _built(self) -> Any:
        return self.algorithm.build(self.target.log_density, **self.parameters)

    @property
    def invariant(self) -> Measure:
        """The target, times the prior if there is one."""
        return as_measure(self.target) if self.prior is None else self.prior * self.target


def from_blackjax(algorithm: Callable[..., Any], target: Any, **parameters: Any) -> BlackjaxKernel:
    """A Markov kernel of BlackJAX, `from_blackjax(blackjax.nuts, target, step_size=0.1, inverse_mass_matrix=ones)`.

    Law: keeps `target` (a factor, a measure, or a function that returns a log-density). `blackjax.elliptical_slice`
    takes the likelihood as its target, and keeps it times the Gaussian of its `mean` and `cov`.

    Works for `hmc`, `nuts`, `mhmc`, `mala`, `barker`, `rmh`, `irmh`, `additive_step_random_walk`, `slice_sampling`,
    `coordinate_slice`, `elliptical_slice`, `rmhmc` and `adjusted_mclmc`; a proposal that they are given must be what
    they ask for: without `proposal_logdensity_fn` BlackJAX takes that of `rmh` for symmetric, and the step of
    `additive_step_random_walk` always. `rmhmc` solves implicit equations, and keeps the target as far as they converge.
    Numbers and arrays among the parameters are data: other ones do not compile anew. Functions and integers are part of
    the program: hand in the same function again.

    Raises: TypeError for what is no algorithm, or a target that runs on the host; MeaningError for an algorithm that
    keeps no target (such as unadjusted `mclmc` and the stochastic-gradient ones) or whose state holds more than the
    position determines (such as `ghmc`), and for `irmh` without the density of its proposal.
    """
    held = Algorithm(algorithm)
    if not callable(algorithm):
        raise TypeError(f"from_blackjax takes an algorithm such as blackjax.nuts, got {type(algorithm).__name__}")
    if held.name not in _KEEP_TARGET:
        raise MeaningError(
            f"'{held.name}' is not known to keep the target with a state that the position determines: use one of "
            f"{', '.join(sorted(_KEEP_TARGET))}"
        )
    # Only `irmh` takes one, and BlackJAX would count it as symmetric, which it is if it is uniform and not otherwise.
    if "proposal_distribution" in parameters and parameters.get("proposal_logdensity_fn") is None:
        raise MeaningError(
            "irmh keeps its target only with the density of its proposal: give proposal_logdensity_fn(here, there), "
            "the log-density of proposing there.position"
        )
    factor = as_factor(target)
    if not factor.traceable:
        raise TypeError(f"BlackJAX is compiled, but '{factor.name}' runs on the host: Reweight by it")
    parameters = {name: _as_data(value) for name, value in parameters.items()}
    prior = None
    if held.name == "elliptical_slice":
        prior = gaussian_of(parameters["mean"], parameters["cov"])
    return BlackjaxKernel(held, factor, parameters, prior)


def gaussian_of(mean: Array, cov: Array) -> Factor:
    """The Gaussian that elliptical slice sampling is given: `cov` is a matrix, or its diagonal."""
    if jnp.ndim(cov) == 2:
        return as_distribution(dist.MultivariateNormal(mean, cov), "N(mean, cov)")
    return as_distribution(dist.Normal(mean, jnp.sqrt(cov)).to_event(1), "N(mean, cov)")


def import_blackjax() -> Any:
    """The library.

    Raises: ImportError where it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module("blackjax")
    except ImportError as error:
        raise ImportError("this needs BlackJAX: pip install 'probinf[mcmc]'") from error


def _as_data(value: Any) -> Any:
    """A floating-point number as an array, all else as it is."""
    return jnp.asarray(value, jnp.result_type(float)) if isinstance(value, float) else value


def _is_number(entry: Any) -> bool:
    return isinstance(entry, jax.Array | float | int | bool) and jnp.ndim(entry) == 0
