"""A reward that is read off a language model's own activation by logistic regression."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from probinf.lm._errors import ModelFileError
from probinf.lm._optional import optional_module

_ITERATIONS = 300


@runtime_checkable
class HiddenState(Protocol):
    """A state of a language model that keeps each lane's last activation, as that of `Llama` does."""

    @property
    def hidden(self) -> Float[Array, "n dimension"]:
        """The activation from which the next token is predicted."""
        ...


class LinearProbe(eqx.Module):
    """The log-odds of success as an affine function of the last activation: `StateReward(probe)` is a reward.

    Law: log-odds of lane i = hidden[i] . weight + bias, in nats.
    """

    weight: Float[Array, " dimension"]
    bias: Float[Array, ""]

    def __call__(self, state: HiddenState) -> Float[Array, " n"]:
        """The log-odds of all lanes of a state."""
        return state.hidden @ self.weight + self.bias


def fit_probe(
    hidden: Float[np.ndarray, "rows dimension"], success: Float[np.ndarray, " rows"], ridge: float
) -> LinearProbe:
    """The probe that minimizes the mean logistic loss plus ridge / 2 times the squared slopes.

    Slopes are penalized in units of each feature's standard deviation, the intercept is not. `success` is 0 or 1, or
    the share of successes.

    Raises: ValueError where the ridge is not positive, shares are no shares, or all of them are 0 or all are 1.
    """
    success = np.asarray(success, float)
    if not ridge > 0:
        raise ValueError(f"the ridge must be positive, got {ridge}: separable data have no finite fit without one")
    if not ((success >= 0) & (success <= 1)).all():
        raise ValueError("success must lie in [0, 1]: give 0, 1 or the share of successes of each row")
    if not 0 < success.mean() < 1:
        raise ValueError("all rows succeed or all fail, so there is nothing to tell apart: sample more problems")
    mean, spread = hidden.mean(0), hidden.std(0)
    scale = np.where(spread > 0, spread, 1.0)
    share = success.mean()
    slopes, intercept = _minimize(
        jnp.asarray((hidden - mean) / scale, jnp.float32),
        jnp.asarray(success, jnp.float32),
        jnp.float32(ridge),
        jnp.float32(np.log(share) - np.log1p(-share)),
    )
    weight = np.asarray(slopes, float) / scale
    return LinearProbe(jnp.asarray(weight, jnp.float32), jnp.asarray(float(intercept) - weight @ mean, jnp.float32))


@jax.jit
def _minimize(
    x: Float[Array, "rows dimension"], y: Float[Array, " rows"], ridge: Float[Array, ""], start: Float[Array, ""]
) -> tuple[Float[Array, " dimension"], Float[Array, ""]]:
    def loss(parameters: tuple[Array, Array]) -> Array:
        slopes, intercept = parameters
        log_odds = x @ slopes + intercept
        return jnp.mean(jax.nn.softplus(log_odds) - y * log_odds) + ridge / 2 * jnp.sum(slopes**2)

    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def iterate(carry: tuple, _: None) -> tuple:
        parameters, state = carry
        value, grad = value_and_grad(parameters, state=state)
        updates, state = solver.update(grad, state, parameters, value=value, grad=grad, value_fn=loss)
        return (optax.apply_updates(parameters, updates), state), None

    parameters = (jnp.zeros(x.shape[1]), start)
    (parameters, _), _ = jax.lax.scan(iterate, (parameters, solver.init(parameters)), None, _ITERATIONS)
    return parameters


def save_probe(path: Path, probe: LinearProbe, notes: Mapping[str, str]) -> None:
    """Write a probe as safetensors, with notes such as the command that trained it as metadata."""
    numpy = optional_module("safetensors.numpy")
    arrays = {"weight": np.asarray(probe.weight), "bias": np.asarray(probe.bias)}
    numpy.save_file(arrays, str(path), metadata=dict(notes))


def load_probe(path: Path) -> LinearProbe:
    """Read a probe that `save_probe` wrote.

    Raises: ModelFileError where the file is absent or holds something else.
    """
    numpy = optional_module("safetensors.numpy")
    try:
        arrays = numpy.load_file(str(path))
        weight, bias = jnp.asarray(arrays["weight"]), jnp.asarray(arrays["bias"])
    except Exception as problem:  # the package has its own exception type
        raise ModelFileError(f"{path} is not a readable probe ({type(problem).__name__}: {problem}).") from None
    if weight.ndim != 1 or bias.ndim != 0:
        raise ModelFileError(f"{path} is not a probe: it needs a vector `weight` and a number `bias`.")
    return LinearProbe(weight, bias)
