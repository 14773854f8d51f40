"""Models written in numpyro, as a prior and a likelihood on unconstrained values.

Law: with u the unconstrained image of the latent sites, prior(u) * likelihood(u) is numpyro's joint density in
unconstrained coordinates, exp(-potential_energy(u)); the prior alone is normalized.

Source: Phan, Pradhan and Jankowiak, "Composable effects for flexible and accelerated probabilistic programming in
NumPyro" (arXiv 1912.11554).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray
from numpyro.infer import init_to_uniform

from probinf._choice import check_key
from probinf._measure import Distribution, Factor, Measure
from probinf.interop._numpyro_arguments import read_arguments
from probinf.interop._numpyro_sites import Sites, constrain_sites, log_terms, unconstrain_sites
from probinf.interop._numpyro_start import find_starts

# Draws at which a new model's densities must make sense.
_PROBES = 16


class NumpyroModel(eqx.Module):
    """A numpyro model with its data, read as `prior * likelihood` on a dictionary of unconstrained values by site.

    Law: `prior` is normalized and can be sampled; `likelihood` collects the observed sites and the `factor`
    statements; their product is the joint density in unconstrained coordinates. Arrays among the arguments are
    leaves, so that other data of the same shape do not compile anew.

    Build it with `from_numpyro`.
    """

    model: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    sites: Sites = eqx.field(static=True)

    @property
    def name(self) -> str:
        """What the model is called."""
        return getattr(self.model, "__name__", type(self.model).__name__)

    @property
    def prior(self) -> NumpyroPrior:
        """The latent sites, as a distribution of unconstrained values."""
        return NumpyroPrior(self)

    @property
    def likelihood(self) -> NumpyroLikelihood:
        """The observed sites and the factor statements, as a density of unconstrained values."""
        return NumpyroLikelihood(self)

    @property
    def posterior(self) -> Measure:
        """`prior * likelihood`, unnormalized: its mass is the evidence."""
        return self.prior * self.likelihood

    def initialize(
        self, key: PRNGKeyArray, chains: int, *, strategy: Callable[..., Any] = init_to_uniform
    ) -> dict[str, Array]:
        """Find starting values of Markov chains by a strategy of numpyro.

        The strategy proposes values until the log-density and its gradient are finite, at most 100 times a chain.
        Draws from the prior may lie where the density vanishes or overflows, so prefer this to `prior.sample`.

        Args:
            key: typed key.
            chains: number of chains.
            strategy: of `numpyro.infer`: `init_to_uniform` (the default: uniform on (-2, 2) in unconstrained
                coordinates), `init_to_median`, `init_to_mean`, `init_to_sample`, `init_to_feasible`, or
                `init_to_value(values=...)`. Pass the same object again to compile nothing anew.

        Returns:
            Unconstrained values by site, each with the leading axis [chains]. Inside a trace they are NaN for a chain
            without a start.

        Raises:
            TypeError: for a legacy key.
            ValueError: for fewer than one chain, and for a chain without a start.
        """
        return find_starts(self, key, chains, strategy)

    def constrain(self, values: dict[str, Array], *, deterministic: bool = False) -> dict[str, Array]:
        """The values that the model's statements see, for unconstrained values with any leading batch axes.

        `deterministic` adds the model's deterministic sites.

        Raises: ValueError where the names or shapes are not those of the latent sites.
        """
        return _constrained(self, values, self.sites.batch_axes(values, constrained=False), deterministic)

    def unconstrain(self, values: dict[str, Array]) -> dict[str, Array]:
        """The inverse of `constrain`, with any leading batch axes.

        Raises: ValueError where the names or shapes are not those of the latent sites.
        """
        return _unconstrained(self, values, self.sites.batch_axes(values, constrained=True))


class NumpyroPrior(Distribution):
    """The law of the latent sites of a numpyro model, in unconstrained coordinates.

    Law: `sample` draws the sites in the order of the model and maps each through the inverse of the bijection onto
    its support; `log_density` is the sites' log-density plus the log-determinants of the bijections. It does not
    look at the value so far.
    """

    program: NumpyroModel

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The model's name, and that it is the prior."""
        return f"{self.program.name} prior"

    def sample(self, key: PRNGKeyArray, x: Any) -> dict[str, Array]:
        """A draw of all latent sites."""
        del x
        program = self.program
        return unconstrain_sites(program.model, program.args, program.kwargs, None, key)

    def log_density(self, x: dict[str, Array]) -> Float[Array, ""]:
        """Log-density of unconstrained values, in nats."""
        program = self.program
        return _total(log_terms(program.model, program.args, program.kwargs, x, program.sites, latent=True))


class NumpyroLikelihood(Factor):
    """The observed sites and the `factor` statements of a numpyro model, as a function of unconstrained values.

    Law: density `prod_site p(observed | latent)^scale * prod exp(factor)`, at the constrained values.
    """

    program: NumpyroModel

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The model's name, and that it is the likelihood."""
        return f"{self.program.name} likelihood"

    def log_density(self, x: dict[str, Array]) -> Float[Array, ""]:
        """Log-likelihood, in nats."""
        program = self.program
        return _total(log_terms(program.model, program.args, program.kwargs, x, program.sites, latent=False))


def from_numpyro(model: Callable[..., Any], *args: Any, **kwargs: Any) -> NumpyroModel:
    """A numpyro model called with its data, as prior, likelihood and posterior on unconstrained values.

    `from_numpyro(model, x, y=y)` reads what `model(x, y=y)` states. Arrays, numeric columns of pandas and floats
    among the arguments become leaves; everything else (sizes, flags, data frames, namespaces) is part of the program,
    as is an array that the model reads in Python or by NumPy, as in `np.unique(group)`: these are copied, and others
    compile anew. Supports may depend on other sites; a mask or a scale may stand on observed sites only, since a masked
    or scaled prior is not the law that one samples.

    Discrete latent sites with finitely many values are summed out through funsor, as numpyro does: values hold the
    continuous sites only, and the prior is their marginal law. Write what depends on such a site by indexing
    (`weights[z]`), with each batch axis in a plate. `constrain` leaves deterministic sites out then.

    Plain densities need no adapter: `Density("name", log_fn)` is a likelihood, and any object with `sample(key)` and
    `log_prob(x)` is a prior.

    Raises: ValueError for discrete latent sites that cannot be summed out (or without the package funsor), improper,
    masked or scaled ones, calls of `numpyro.prng_key`, `param` sites, subsampled plates, sites that a Python branch
    decides, a model that observes nothing or has nothing latent, and densities that are
    NaN or infinite at draws from the prior.
    """
    args, kwargs, sites = read_arguments(model, args, kwargs)
    program = NumpyroModel(model, args, kwargs, sites)
    if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((args, kwargs))):
        _check_finite(program)
    return program


@eqx.filter_jit
def _constrained(program: NumpyroModel, values: dict[str, Array], axes: int, deterministic: bool) -> dict[str, Array]:
    read = lambda u: constrain_sites(program.model, program.args, program.kwargs, u, deterministic)  # noqa: E731
    return _batched(read, axes)(values)


@eqx.filter_jit
def _unconstrained(program: NumpyroModel, values: dict[str, Array], axes: int) -> dict[str, Array]:
    return _batched(lambda x: unconstrain_sites(program.model, program.args, program.kwargs, x), axes)(values)


def _batched(function: Callable[[Any], Any], axes: int) -> Callable[[Any], Any]:
    for _ in range(axes):
        function = jax.vmap(function)
    return function


def _total(terms: dict[str, Array]) -> Float[Array, ""]:
    """Sum of the sites' terms, where one impossible site is final: -inf never meets +inf as NaN."""
    stacked = jnp.stack([jnp.asarray(term, float) for term in terms.values()])
    dead = jnp.any(stacked == -jnp.inf)
    return jnp.where(dead, -jnp.inf, jnp.sum(jnp.where(dead, 0.0, stacked)))


def _check_finite(program: NumpyroModel) -> None:
    """Raises: ValueError where no draw from the prior has a prior density, or a likelihood, that makes sense."""
    for kind, terms in zip(("prior", "likelihood"), _probe(program, jax.random.key(0)), strict=True):
        for site, values in terms.items():
            usable = np.isfinite(values) | ((np.asarray(values) == -np.inf) & (kind == "likelihood"))
            if not usable.any():
                raise ValueError(
                    f"site '{site}' of {program.name} has log-density {float(values[0])} at every draw from the "
                    "prior: mask what is missing in the data, and look for parameters outside their domain"
                )


@eqx.filter_jit
def _probe(program: NumpyroModel, key: PRNGKeyArray) -> tuple[dict[str, Array], dict[str, Array]]:
    check_key(key)

    def one(key: PRNGKeyArray) -> tuple[dict[str, Array], dict[str, Array]]:
        x = program.prior.sample(key, ())
        read = lambda latent: log_terms(program.model, program.args, program.kwargs, x, program.sites, latent=latent)  # noqa: E731
        return read(True), read(False)

    return jax.vmap(one)(jax.random.split(key, _PROBES))
