"""Discrete latent sites of a numpyro model, summed out by funsor as numpyro does.

Source: Obermeyer et al., arXiv 1910.10775 (functional tensors for probabilistic programming).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.infer.util import potential_energy
from numpyro.primitives import Messenger


def check_enumerable(discrete: dict[str, Any]) -> None:
    """Whether these latent sites can be summed out.

    Raises: ValueError where a site has infinitely many values, or funsor is not installed.
    """
    for name, site in discrete.items():
        if not site["fn"].has_enumerate_support:
            raise ValueError(
                f"latent site '{name}' is discrete and cannot be enumerated ({type(site['fn']).__name__}): marginalize "
                "it in the model, or write it with probinf.distributions"
            )
        if importlib.util.find_spec("funsor") is None:
            raise ValueError(
                f"latent site '{name}' is discrete, and summing it out needs the package funsor: run  pip install "
                "funsor  or marginalize it in the model"
            )


def free_dimension(sites: Iterable[dict[str, Any]]) -> int:
    """The first dimension, from the right, that no plate uses."""
    frames = [frame.dim for site in sites if site["type"] == "sample" for frame in site["cond_indep_stack"]]
    return min([0, *(dim for dim in frames if dim is not None)]) - 1


def marginal_log_density(
    model: Callable[..., Any],
    args: tuple,
    kwargs: dict[str, Any],
    values: dict[str, Array],
    dimension: int,
    *,
    observed: bool,
) -> Float[Array, ""]:
    """Log-density of unconstrained values, summed over the discrete sites.

    Without `observed` sites and factors it is the marginal prior of the continuous sites, whether or not they depend
    on discrete ones. `dimension`: where enumeration may begin, see `free_dimension`.

    Raises: ValueError where the support of a continuous site depends on a discrete one.
    """
    from numpyro.contrib.funsor import config_enumerate, enum

    model = enum(config_enumerate(_Terms(model, values, dimension, observed)), first_available_dim=dimension)
    # Values of discrete sites stand left of all plates, and meet arrays without them.
    with jax.numpy_rank_promotion("allow"):
        return jnp.negative(potential_energy(model, args, kwargs, values, enum=True))


class _Terms(Messenger):
    """Checks the continuous sites, and takes the observed sites and factors out of the density unless asked for."""

    def __init__(self, fn: Any, values: dict[str, Array], dimension: int, observed: bool):
        super().__init__(fn)
        self.values, self.dimension, self.observed = values, dimension, observed
        # The factors by which numpyro accounts for bijections.
        self.kept = {f"_{name}_log_det" for name in values}

    def process_message(self, msg: Any) -> None:
        if msg["type"] != "sample":
            return
        name, fn = msg["name"], msg["fn"]
        bounds = [np.shape(bound) for bound in jax.tree.leaves(fn.support)] if name in self.values else []
        # Left of the plates stand the values of discrete sites.
        if any(np.prod(shape[: max(0, len(shape) - fn.event_dim + self.dimension + 1)]) > 1 for shape in bounds):
            raise ValueError(
                f"the support of latent site '{name}' depends on a discrete site, so its values have no one meaning: "
                "give the site a fixed support"
            )
        if msg["is_observed"] and not self.observed and name not in self.kept:
            msg["fn"] = fn.mask(False)
