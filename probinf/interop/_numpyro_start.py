"""Where chains of a numpyro model start."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Key, PRNGKeyArray

from probinf._arguments import is_count
from probinf._choice import check_key
from probinf.interop._numpyro_sites import initial_sites

if TYPE_CHECKING:
    from probinf.interop._numpyro import NumpyroModel

# As many as numpyro makes.
_ATTEMPTS = 100


def find_starts(
    program: NumpyroModel, key: PRNGKeyArray, chains: int, strategy: Callable[..., Any]
) -> dict[str, Array]:
    """Unconstrained values [chains, ...] with finite log-density and gradient; inside a trace NaN stands for none.

    Raises: see `NumpyroModel.initialize`.
    """
    check_key(key)
    if not is_count(chains):
        raise ValueError(f"initialize needs chains >= 1, got chains={chains}")
    values, found = _found(program, jax.random.split(key, chains), strategy)
    if isinstance(found, Tracer):
        return jax.vmap(lambda x, ok: jax.tree.map(lambda leaf: jnp.where(ok, leaf, jnp.nan), x))(values, found)
    lost = np.flatnonzero(~np.asarray(found))
    if lost.size:
        raise ValueError(
            f"no start of {program.name} has a finite log-density and gradient in {_ATTEMPTS} attempts "
            f"({lost.size} of {chains} chains, the first is {lost[0]}): pass "
            "strategy=numpyro.infer.init_to_value(values=...), or reparameterize the model"
        )
    return values


@eqx.filter_jit
def _found(
    program: NumpyroModel, keys: Key[Array, " chains"], strategy: Callable[..., Any]
) -> tuple[dict[str, Array], Bool[Array, " chains"]]:
    """The last attempt of each chain, and whether it is a start."""
    # Called without a site, a strategy of numpyro gives itself with its default options, as a new object each time.
    strategy = strategy if isinstance(strategy, partial) else strategy()
    propose = lambda key: initial_sites(program.model, program.args, program.kwargs, key, strategy)  # noqa: E731
    log_density = jax.value_and_grad(program.posterior.log_density)

    def attempt(state: tuple[Array, Array, Any, Array]) -> tuple[Array, Array, Any, Array]:
        number, key, _, _ = state
        key, now = jax.random.split(key)
        values = propose(now)
        finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves((values, log_density(values)))]
        return number + 1, key, values, jnp.all(jnp.stack(finite))

    def one(key: PRNGKeyArray) -> tuple[Any, Array]:
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(propose, key))
        state = (jnp.asarray(0), key, nothing, jnp.asarray(False))
        return jax.lax.while_loop(lambda s: (s[0] < _ATTEMPTS) & ~s[3], attempt, state)[2:]

    return jax.vmap(one)(keys)
