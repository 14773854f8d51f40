"""One abstract pass over a jaxpr: where it draws, how many outcomes each draw has, what it refuses."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import Any, NamedTuple

from jax.extend.core import JaxprEqn
from jax.extend.core.primitives import (
    broadcast_in_dim_p,
    cond_p,
    random_bits_p,
    random_fold_in_p,
    random_gamma_p,
    random_split_p,
    rng_bit_generator_p,
    rng_uniform_p,
    scan_p,
    while_p,
)

from probinf._choice import choice_p, uniform_cells_p
from probinf.validity._errors import NotEnumerable
from probinf.validity._forms import branches, inlined_body, open_jaxpr, output_size, scan_form, sub_jaxprs
from probinf.validity._source import UNKNOWN_LINE, source_line

SITES = (choice_p, uniform_cells_p, random_bits_p)
KEY_FORKS = (random_split_p, random_fold_in_p)
_RAW_DRAWS = (random_bits_p, random_gamma_p, rng_bit_generator_p, rng_uniform_p)


class Site(NamedTuple):
    """One line that draws: `count` independent scalar draws of `arity` outcomes each."""

    name: str
    source: str
    arity: int
    count: int


def site_arity(equation: JaxprEqn, grid: int) -> int:
    """Outcomes of each scalar draw of a site: choices, cells between breaks, or points of the grid."""
    if equation.primitive is random_bits_p:
        return grid
    outcomes = equation.invars[1].aval.shape[-1]  # pyright: ignore[reportAttributeAccessIssue]
    return outcomes if equation.primitive is choice_p else outcomes + 1


def shared_keys(body: Any) -> dict[Any, int]:
    """For the output of each `uniform_cells` whose rows were given one key by `jax.vmap`, how many rows share it.

    They get the same uniform by right: their keys are made equal by the batching of the primitive itself.
    """
    repeated = {}
    for equation in body.eqns:
        if equation.primitive is broadcast_in_dim_p:
            (small, large), shape = (equation.invars[0], equation.outvars[0]), equation.params["shape"]
            old: Any = small.aval
            copies = math.prod(shape) // max(1, math.prod(old.shape))
            leading = equation.params["broadcast_dimensions"] == tuple(range(len(shape) - len(old.shape), len(shape)))
            # Only where one key stands for all: of keys that are already many, the copies are not neighbors.
            if copies > 1 and leading and math.prod(old.shape) == 1:
                repeated[large] = copies
    return {
        equation.outvars[0]: repeated[equation.invars[0]]
        for equation in body.eqns
        if equation.primitive is uniform_cells_p
        and not hasattr(equation.invars[0], "val")
        and equation.invars[0] in repeated
        and equation.outvars[0].aval.shape == equation.invars[0].aval.shape
    }


def holds(jaxpr: Any, primitives: tuple) -> bool:
    """Whether any of the primitives occurs in the jaxpr, at any depth."""
    return any(
        equation.primitive in primitives or any(holds(sub, primitives) for sub in sub_jaxprs(equation))
        for equation in open_jaxpr(jaxpr)[0].eqns
    )


def arities(jaxpr: Any, grid: int) -> list[int]:
    """The number of outcomes of every scalar draw, in the order in which the replay reads its script.

    A scan repeats its body's; the branches of a cond share theirs, each slot as wide as the widest branch.

    Raises: NotEnumerable for draws inside a while loop or inside a call that the replay cannot enter.
    """
    found: list[int] = []
    body = open_jaxpr(jaxpr)[0]
    shared = shared_keys(body)
    for equation in body.eqns:
        primitive = equation.primitive
        if primitive in SITES:
            copies = shared.get(equation.outvars[0], 1)
            arity = site_arity(equation, grid)
            found += [copies * (arity - 1) + 1 if copies > 1 else arity] * (output_size(equation) // copies)
        elif (inner := inlined_body(equation)) is not None:
            found += arities(inner, grid)
        elif primitive is scan_p:
            scan = scan_form(equation)
            found += arities(scan.body, grid) * scan.length
        elif primitive is cond_p:
            rows = [arities(branch, grid) for branch in branches(equation)]
            found += [max(row) for row in zip_longest(*rows, fillvalue=1)]
        elif any(holds(sub, SITES) for sub in sub_jaxprs(equation)):
            raise NotEnumerable(_refusal(equation))
    return found


def sites(jaxpr: Any, grid: int, repeats: int = 1, caller: str = UNKNOWN_LINE) -> list[Site]:
    """Every line that draws, with how often it is reached at most."""
    found: list[Site] = []
    body = open_jaxpr(jaxpr)[0]
    shared = shared_keys(body)
    for equation in body.eqns:
        line = source_line(equation, caller)
        if equation.primitive in SITES:
            copies = shared.get(equation.outvars[0], 1)
            count, arity = output_size(equation) // copies * repeats, site_arity(equation, grid)
            arity = copies * (arity - 1) + 1 if copies > 1 else arity
            found.append(Site(str(equation.primitive), line, arity, count))
        else:
            times = repeats * scan_form(equation).length if equation.primitive is scan_p else repeats
            for sub in sub_jaxprs(equation):
                found += sites(sub, grid, times, line)
    return found


def refuse_raw_draws(jaxpr: Any, grid: int, caller: str = UNKNOWN_LINE) -> None:
    """Refuses every draw outside `choice` and `uniform_cells`; a grid stands for random bits.

    Raises: NotEnumerable, naming the line.
    """
    for equation in open_jaxpr(jaxpr)[0].eqns:
        line = source_line(equation, caller)
        if equation.primitive in _RAW_DRAWS and not (grid and equation.primitive is random_bits_p):
            raise NotEnumerable(
                f"{line} draws continuous randomness outside of choice ({equation.primitive}): draw "
                "with probinf.choice or probinf.uniform_cells, or use a statistical check"
            )
        for sub in sub_jaxprs(equation):
            refuse_raw_draws(sub, grid, line)


def _refusal(equation: JaxprEqn) -> str:
    line = source_line(equation)
    if equation.primitive is while_p:
        return (
            f"{line} draws inside a while loop, whose number of turns is unknown: "
            "use probinf.While with max, or jax.lax.scan"
        )
    return f"{line} draws inside {equation.primitive}, which the replay cannot enter: call it outside"
