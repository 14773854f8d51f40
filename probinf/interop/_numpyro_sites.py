"""What a numpyro model states, site by site, read by running it under numpyro's own handlers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.core import Tracer
from jaxtyping import Array, Bool, PRNGKeyArray
from numpyro.distributions.transforms import biject_to
from numpyro.handlers import seed, substitute, trace
from numpyro.primitives import Messenger

from probinf.interop._numpyro_enum import check_enumerable, free_dimension, marginal_log_density

# What JAX raises where Python or NumPy needs a value that is known at the run of the program only.
_UNKNOWN = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


class UndecidedError(ValueError):
    """The model reads in Python what is not a constant of the program."""


class Held:
    """An argument that is a constant of the program: `value` as the caller gave it, and its `content` to compare."""

    def __init__(self, value: Any, content: bytes | int):
        self.value, self.content = value, content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content)

    def __repr__(self) -> str:
        return f"Held({type(self.value).__name__})"


class Sites(NamedTuple):
    """Shapes of the continuous latent sites by name, as the model sees them and unconstrained; hashable.

    `discrete` names the latent sites that are summed out, for which `dimension` is the first one that no plate uses.
    """

    constrained: tuple[tuple[str, tuple[int, ...]], ...]
    unconstrained: tuple[tuple[str, tuple[int, ...]], ...]
    discrete: tuple[str, ...] = ()
    dimension: int = -1

    def batch_axes(self, values: dict[str, Array], *, constrained: bool) -> int:
        """How many leading axes the values have beyond one value's own.

        Raises: ValueError where names or shapes are not those of the latent sites.
        """
        shapes = dict(self.constrained if constrained else self.unconstrained)
        if set(values) != set(shapes):
            raise ValueError(f"expected values of the sites {sorted(shapes)}, got {sorted(values)}")
        found = {name: np.shape(values[name]) for name in shapes}
        batches = {found[name][: len(found[name]) - len(shape)] for name, shape in shapes.items()}
        fits = all(found[name][len(found[name]) - len(shape) :] == shape for name, shape in shapes.items())
        if len(batches) != 1 or not fits:
            raise ValueError(f"expected sites of shapes {shapes}, each with the same batch axes in front, got {found}")
        return len(batches.pop())


def inspect_sites(model: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Sites:
    """Shapes of the latent sites, found without computing anything.

    Raises: ValueError for a model that is no prior times likelihood; see `from_numpyro`.
    """

    summed: dict[str, Any] = {}

    def shapes(key: PRNGKeyArray, args: tuple, kwargs: dict[str, Any]) -> tuple[dict, dict]:
        run = trace(seed(_NoKeys(model), key))
        try:
            sites = _sites(run, args, kwargs)
        except Exception as error:
            if isinstance(error, _UNKNOWN) or isinstance(getattr(error, "obj", None), Tracer):
                raise _undecided(run.trace) from error
            raise
        _check(sites)
        latent = _latent(sites)
        summed.update(discrete=tuple(_discrete(sites)), dimension=free_dimension(sites.values()))
        return {k: v["value"] for k, v in latent.items()}, {k: _inverse(v, v["value"]) for k, v in latent.items()}

    arrays, rest = _partition((args, kwargs))
    try:
        found = jax.eval_shape(lambda key, arrays: shapes(key, *_combine(arrays, rest)), jax.random.key(0), arrays)
    except NotImplementedError as error:
        raise ValueError(
            "a latent site cannot be drawn, so it is improper or has no sampler: give it a proper prior"
        ) from error
    except TypeError as error:
        if "carry" not in str(error):
            raise
        raise ValueError(
            "a scan of the model returns a carry of another type than it starts with: give the first carry and "
            "what the step returns one type, as by z.astype(jnp.int32) for a discrete site z"
        ) from error
    constrained, unconstrained = ({k: v.shape for k, v in side.items()} for side in found)
    read = Sites(tuple(constrained.items()), tuple(unconstrained.items()), **summed)
    if read.discrete:
        _check_sum(model, args, kwargs, read, found[1])
    return read


def constrain_sites(
    model: Callable[..., Any], args: tuple, kwargs: dict[str, Any], values: dict[str, Array], deterministic: bool
) -> dict[str, Array]:
    """The model's own values at unconstrained `values`, and its deterministic sites if asked for.

    Where discrete sites are summed out, the deterministic ones may depend on them and are left out.
    """
    sites = _at(seed(model, jax.random.key(0)), args, kwargs, values)
    kept = {name: site for name, site in sites.items() if name in values}
    if deterministic and not _discrete(sites):
        kept |= {name: site for name, site in sites.items() if site["type"] == "deterministic"}
    return {name: site["value"] for name, site in kept.items()}


def unconstrain_sites(
    model: Callable[..., Any],
    args: tuple,
    kwargs: dict[str, Any],
    values: dict[str, Array] | None,
    key: PRNGKeyArray | None = None,
) -> dict[str, Array]:
    """Unconstrained images of the model's own `values`, or of a draw with `key`."""
    # Discrete sites are drawn in either case.
    placed = seed(model, key) if values is None else substitute(seed(model, jax.random.key(0)), data=values)
    sites = _sites(trace(placed), args, kwargs)
    return {name: _inverse(site, site["value"]) for name, site in _latent(sites).items()}


def initial_sites(
    model: Callable[..., Any], args: tuple, kwargs: dict[str, Any], key: PRNGKeyArray, strategy: Callable[..., Any]
) -> dict[str, Array]:
    """Unconstrained images of what a strategy of numpyro proposes for the latent sites."""
    sites = _sites(trace(substitute(seed(model, key), substitute_fn=strategy)), args, kwargs)
    return {name: _inverse(site, site["value"]) for name, site in _latent(sites).items()}


def log_terms(
    model: Callable[..., Any],
    args: tuple,
    kwargs: dict[str, Any],
    values: dict[str, Array],
    found: Sites,
    *,
    latent: bool,
) -> dict[str, Array]:
    """The log-density of each latent site in unconstrained coordinates, or of each observed site and factor.

    Where discrete sites are summed out the terms are one, which is named by all their sites.
    """
    if found.discrete:
        return _summed_terms(model, args, kwargs, values, found, latent=latent)
    sites = _at(model, args, kwargs, values)
    if latent:
        return {name: _log_prior(site, values[name]) for name, site in _latent(sites).items()}
    return {name: _log_observed(site) for name, site in sites.items() if _is_sample(site) and site["is_observed"]}


def _summed_terms(
    model: Callable[..., Any],
    args: tuple,
    kwargs: dict[str, Any],
    values: dict[str, Array],
    found: Sites,
    *,
    latent: bool,
) -> dict[str, Array]:
    args, kwargs = _opened((args, kwargs))
    prior = marginal_log_density(model, args, kwargs, values, found.dimension, observed=False)
    if latent:
        return {", ".join(name for name, _ in found.unconstrained): prior}
    joint = marginal_log_density(model, args, kwargs, values, found.dimension, observed=True)
    sites = _at(seed(model, jax.random.key(0)), args, kwargs, values)
    observed = {name: site for name, site in sites.items() if _is_sample(site) and site["is_observed"]}
    missing = jnp.any(jnp.stack([_is_missing(site) for site in observed.values()]))
    # A likelihood where the prior vanishes would be the difference of infinities.
    likelihood = jnp.where(prior == -jnp.inf, -jnp.inf, joint - prior)
    return {", ".join(observed): jnp.where(missing, jnp.nan, likelihood)}


def _at(model: Callable[..., Any], args: tuple, kwargs: dict[str, Any], values: dict[str, Array]) -> dict[str, Any]:
    """The run of the model at unconstrained values: each support is known only where its site is reached."""
    return _sites(trace(substitute(model, substitute_fn=functools.partial(_forward, values))), args, kwargs)


def _sites(run: trace, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The sites of a traced run; constants are given to the model as the caller gave them."""
    args, kwargs = _opened((args, kwargs))
    return run.get_trace(*args, **kwargs)


def _opened(arguments: tuple[tuple, dict[str, Any]]) -> tuple[tuple, dict[str, Any]]:
    return jax.tree.map(lambda leaf: leaf.value if isinstance(leaf, Held) else leaf, arguments)


class _NoKeys(Messenger):
    """Refuses keys for draws that are no sites."""

    def process_message(self, msg: Any) -> None:
        if msg["type"] == "prng_key":
            raise ValueError(
                "the model asks for numpyro.prng_key(), so its density would be random: pass the key as an argument, "
                "or draw with numpyro.sample"
            )


def _undecided(sites: dict[str, Any]) -> UndecidedError:
    """The refusal of a run that ended after these sites."""
    who = "the model"
    for name in _discrete(sites):
        who = f"latent site '{name}' is discrete, and the model"
    return UndecidedError(
        f"{who} decides in Python or NumPy on a value that it draws, or that jax.numpy computes from its data: use "
        "jnp.where for what is drawn and NumPy (np.unique, not jnp.unique) for data, so that the sites are fixed"
    )


def _forward(values: dict[str, Array], site: dict[str, Any]) -> Array | None:
    if not _is_sample(site) or site["is_observed"] or site["name"] not in values:
        return None
    return biject_to(site["fn"].support)(values[site["name"]])


def _inverse(site: dict[str, Any], value: Array) -> Array:
    # A draw that rounds to the edge of its support lies at infinity: a point whose exponential is still a normal float
    # stands for it.
    unconstrained = biject_to(site["fn"].support).inv(value)
    edge = -jnp.log(jnp.finfo(unconstrained.dtype).tiny) - 1.0
    return jnp.nan_to_num(unconstrained, nan=jnp.nan, posinf=edge, neginf=-edge)


def _log_prior(site: dict[str, Any], unconstrained: Array) -> Array:
    log_det = biject_to(site["fn"].support).log_abs_det_jacobian(unconstrained, site["value"])
    return jnp.sum(site["fn"].log_prob(site["value"])) + jnp.sum(log_det)


def _log_observed(site: dict[str, Any]) -> Array:
    log_prob = site["fn"].log_prob(site["value"])
    total = jnp.sum(log_prob if site["scale"] is None else site["scale"] * log_prob)
    return jnp.where(_is_missing(site), jnp.nan, total)


def _is_missing(site: dict[str, Any]) -> Bool[Array, ""]:
    """Whether data are missing that no mask covers.

    To numpyro NaN lies outside the support, as if it had been seen and were impossible; a missing datum is neither.
    """
    masked = any(isinstance(d, dist.MaskedDistribution) for d in _inner(site["fn"]))
    return jnp.any(jnp.isnan(site["value"])) & (not masked)


def _is_sample(site: dict[str, Any]) -> bool:
    return site["type"] == "sample"


def _latent(sites: dict[str, Any]) -> dict[str, Any]:
    """The continuous latent sites."""
    unseen = {name: site for name, site in sites.items() if _is_sample(site) and not site["is_observed"]}
    return {name: site for name, site in unseen.items() if not site["fn"].support.is_discrete}


def _discrete(sites: dict[str, Any]) -> dict[str, Any]:
    unseen = {name: site for name, site in sites.items() if _is_sample(site) and not site["is_observed"]}
    return {name: site for name, site in unseen.items() if site["fn"].support.is_discrete}


def _check(sites: dict[str, Any]) -> None:
    for name, site in sites.items():
        if site["type"] == "param":
            raise ValueError(f"'{name}' is a param, which has no law: give it a prior with numpyro.sample")
        if site["type"] == "plate" and site["args"][1] not in (None, site["args"][0]):
            raise ValueError(f"plate '{name}' takes a subsample, so the likelihood would be random: use all of it")
    latent, discrete = _latent(sites), _discrete(sites)
    for name, site in (latent | discrete).items():
        _check_latent(name, site)
    check_enumerable(discrete)
    if not latent:
        raise ValueError("the model has no continuous latent site: there is nothing to infer")
    if not any(_is_sample(site) and site["is_observed"] for site in sites.values()):
        raise ValueError("the model observes nothing: pass the data, so that a site has obs=, or add a factor")


def _check_latent(name: str, site: dict[str, Any]) -> None:
    fn = site["fn"]
    inner = list(_inner(fn))
    if any(isinstance(d, dist.Delta) for d in inner):
        raise ValueError(f"latent site '{name}' is a Delta, which has no density: use numpyro.deterministic")
    if any(isinstance(d, dist.MaskedDistribution) for d in inner) or site["scale"] is not None:
        raise ValueError(
            f"latent site '{name}' is masked or scaled, so its draws do not have its density: mask or scale observed "
            "sites only"
        )
    if fn.support.is_discrete:
        return
    try:
        biject_to(fn.support)
    except NotImplementedError:
        raise ValueError(f"no bijection onto the support of '{name}' ({fn.support}): reparameterize the site") from None


def _check_sum(
    model: Callable[..., Any], args: tuple, kwargs: dict[str, Any], found: Sites, values: dict[str, Any]
) -> None:
    """Raises: ValueError where numpyro cannot sum out the discrete sites."""
    arrays, rest = _partition((args, kwargs))

    def density(values: dict[str, Array], arrays: list[Array]) -> dict[str, Array]:
        args, kwargs = _combine(arrays, rest)
        return log_terms(model, args, kwargs, values, found, latent=False)

    try:
        jax.eval_shape(density, values, arrays)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"numpyro cannot sum out the discrete sites {', '.join(found.discrete)} ({reason}): put each batch axis in "
            "a plate, or marginalize them in the model"
        ) from error


def _inner(fn: Any) -> Any:
    while fn is not None:
        yield fn
        fn = getattr(fn, "base_dist", None)


def _partition(tree: Any) -> tuple[list[Array], Any]:
    leaves, structure = jax.tree.flatten(tree)
    arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
    return arrays, (structure, [None if isinstance(leaf, jax.Array) else (leaf,) for leaf in leaves])


def _combine(arrays: list[Array], rest: Any) -> Any:
    structure, fixed = rest
    remaining = iter(arrays)
    return structure.unflatten([next(remaining) if leaf is None else leaf[0] for leaf in fixed])
