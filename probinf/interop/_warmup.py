"""Step size and mass matrix, tuned before the chain whose draws count.

Law: what adapts does so before the first draw that is kept, and is frozen then: a kernel that goes on adapting keeps
no target.

Source: Hoffman and Gelman, Journal of Machine Learning Research 15 (2014), section 3.2; the schedule of windows is
Stan's, as BlackJAX's `window_adaptation` has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from probinf._chains import as_starts, check_start
from probinf._choice import check_key
from probinf._measure import as_factor
from probinf.interop._blackjax import BlackjaxKernel, from_blackjax, import_blackjax


class Warmup(NamedTuple):
    """A tuned kernel, where the chains stand (leading axis of chains), and what each chain would have used.

    `step_sizes` and `inverse_masses` have the leading axis of chains: chains that disagree have not met yet.
    """

    kernel: BlackjaxKernel
    values: PyTree
    step_sizes: Float[Array, " chains"]
    inverse_masses: Float[Array, "chains ..."]


def warmup(
    target: Any,
    key: PRNGKeyArray,
    initial: PyTree,
    *,
    steps: int = 1000,
    algorithm: Callable[..., Any] | None = None,
    acceptance: float = 0.8,
    dense: bool = False,
    **parameters: Any,
) -> Warmup:
    """Tunes the step size and the inverse mass matrix of a kernel of BlackJAX's HMC family, NUTS by default.

    Law: the kernel keeps `target`, whatever the tuning found; the positions follow no stated law, only one that is
    closer to the target. All chains get one kernel: the median of their step sizes, which one chain that is stuck does
    not spoil, and the mean of their inverse mass matrices.

    initial: leading axis of chains on every leaf. algorithm: `blackjax.nuts`, `blackjax.hmc` (with
    `num_integration_steps=`) or `blackjax.mhmc`. dense: a full matrix in place of its diagonal. parameters: what else
    the algorithm takes. Compiled once per structure and shape; chains run side by side.

    Raises: ImportError without the extra `probinf[mcmc]`; TypeError for a legacy key; ValueError for fewer than 20
    steps, an acceptance outside (0, 1), and initial values as in `sample_chains`.
    """
    check_key(key)
    if steps < 20:
        raise ValueError(f"warmup needs steps >= 20 for its windows, got {steps}")
    if not 0 < acceptance < 1:
        raise ValueError(f"warmup needs an acceptance rate between 0 and 1, got {acceptance}")
    factor, (initial, chains) = as_factor(target), as_starts(initial)
    check_start(factor, initial)
    # Refuses what cannot be a kernel before anything runs.
    kernel = from_blackjax(algorithm or import_blackjax().nuts, factor, **parameters)
    tuned = _tune(kernel, jax.random.split(key, chains), initial, jnp.asarray(acceptance), steps, dense)
    values, step_sizes, inverse_masses = tuned
    found = {"step_size": jnp.median(step_sizes), "inverse_mass_matrix": jnp.mean(inverse_masses, axis=0)}
    kernel = BlackjaxKernel(kernel.algorithm, factor, {**kernel.parameters, **found})
    return Warmup(kernel, values, step_sizes, inverse_masses)


@eqx.filter_jit
def _tune(
    kernel: BlackjaxKernel, keys: Any, initial: PyTree, acceptance: Float[Array, ""], steps: int, dense: bool
) -> tuple[PyTree, Float[Array, " chains"], Float[Array, "chains ..."]]:
    """Positions, step sizes and inverse mass matrices, one a chain."""
    adaptation = import_blackjax().window_adaptation(
        kernel.algorithm.api,
        kernel.target.log_density,
        is_mass_matrix_diagonal=not dense,
        target_acceptance_rate=acceptance,
        adaptation_info_fn=_nothing,
        **kernel.parameters,
    )

    def one(key: PRNGKeyArray, x: PyTree) -> tuple[PyTree, Array, Array]:
        (state, parameters), _ = adaptation.run(key, x, num_steps=steps)
        return state.position, parameters["step_size"], parameters["inverse_mass_matrix"]

    return jax.vmap(one)(keys, initial)


def _nothing(state: Any, info: Any, adaptation_state: Any) -> tuple[()]:
    """What is kept of each step."""
    del state, info, adaptation_state
    return ()
