"""The parameters of JAX's primitives, in the form that each tested version of JAX gives them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn
from jax.interpreters import partial_eval

from probinf.validity._errors import UnknownForm

# First and last; pyproject.toml states the same range.
TESTED_VERSIONS = ("0.10.2", "0.12.0")

# Calls that merely wrap a body; the replay reads the body in their place.
_BODIES = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}


class ScanForm(NamedTuple):
    """A scan: its inputs are `constants`, then the carry of size `carried`, then the inputs of all turns."""

    body: Any
    constants: int
    carried: int
    length: int
    reverse: bool


def scan_form(equation: JaxprEqn) -> ScanForm:
    """The parts of a scan: counts in `num_consts` and `num_carry`, since JAX 0.11 in the trees `ft_in` and `ft_out`.

    Raises: UnknownForm.
    """
    params = equation.params
    if "num_consts" in params:
        constants, carried = params["num_consts"], _parameter(equation, "num_carry")
    else:
        constants, carried, _ = map(len, _parts(equation, "ft_in", 3))
        if carried != len(_parts(equation, "ft_out", 2)[0]):
            raise UnknownForm(_refusal(equation, "ft_out"))
    body = _parameter(equation, "jaxpr")
    return ScanForm(body, constants, carried, _parameter(equation, "length"), _parameter(equation, "reverse"))


def branches(equation: JaxprEqn) -> Sequence[Any]:
    """The bodies of a cond, in the order of its index."""
    return _parameter(equation, "branches")


def inlined_body(equation: JaxprEqn) -> Any | None:
    """The sub-jaxpr of a call that is read in place, None for every other equation."""
    name = _BODIES.get(equation.primitive.name)
    return None if name is None else _parameter(equation, name)


def open_jaxpr(jaxpr: Any) -> tuple[Jaxpr, tuple]:
    """The body of a sub-jaxpr and its constants, whether it is closed or not; since JAX 0.11 the two are one class."""
    return (jaxpr.jaxpr, tuple(jaxpr.consts)) if isinstance(jaxpr, ClosedJaxpr) else (jaxpr, ())


def close_jaxpr(body: Jaxpr, constants: Sequence[Any]) -> Any:
    """The jaxpr with values for its constants."""
    return ClosedJaxpr(body, list(constants))


def sub_jaxprs(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """The bodies of every jaxpr among the parameters of an equation."""
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, ClosedJaxpr | Jaxpr):
                yield open_jaxpr(item)[0]


def without_unused(closed: Any) -> Any:
    """The same jaxpr without the equations that no output depends on."""
    body, constants = open_jaxpr(closed)
    used, _ = partial_eval.dce_jaxpr(body, [True] * len(body.outvars), instantiate=True)
    return close_jaxpr(used, constants)


def output_size(equation: JaxprEqn) -> int:
    """How many numbers the first output has."""
    return math.prod(equation.outvars[0].aval.shape)  # pyright: ignore[reportAttributeAccessIssue]


def _parameter(equation: JaxprEqn, name: str) -> Any:
    if name not in equation.params:
        raise UnknownForm(_refusal(equation, name))
    return equation.params[name]


def _parts(equation: JaxprEqn, name: str, count: int) -> tuple:
    tree = _parameter(equation, name)
    parts = tree.unpack() if hasattr(tree, "unpack") else ()
    if len(parts) != count:
        raise UnknownForm(_refusal(equation, name))
    return parts


def _refusal(equation: JaxprEqn, name: str) -> str:
    first, last = TESTED_VERSIONS
    return (
        f"this version of JAX ({jax.__version__}) writes {equation.primitive} without the parameter {name} in a form "
        f"that exact checks can read: install jax from {first} to {last}, which are tested"
    )
