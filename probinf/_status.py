"""How a run ended, as data: a dead cloud is a status, not a crash."""

from __future__ import annotations

import enum
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Int


class Status(enum.IntEnum):
    """How a run ended; the larger number wins when parts of a run ended differently."""

    OK = 0
    BUDGET = 1
    ABSTAINED = 2
    COLLAPSED = 3
    DEGENERATE = 4
    INVALID = 5

    @property
    def explanation(self) -> str:
        """One sentence for the user."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    Status.OK: "the run is complete",
    Status.BUDGET: "a loop ran out of its budget of steps before its condition was met: raise max_steps",
    Status.ABSTAINED: "some lanes never passed the verifier within the budget and weigh nothing: raise the budget",
    Status.COLLAPSED: (
        "the estimate rests on few distinct particles: at some step one of them held nearly all of the weight, or a "
        "move was hardly ever accepted and left copies; use more particles, smaller steps, or a better proposal or "
        "kernel"
    ),
    Status.DEGENERATE: "all weights are zero: no particle satisfies the potentials; use more particles or soften them",
    Status.INVALID: (
        "a potential returned NaN or +inf, or a draw held NaN; those lanes were given weight zero: mend the potential, "
        "or the model whose parameters or logits are NaN"
    ),
}


def status_if(condition: Array | bool, status: Status) -> Int[Array, ""]:
    """`status` where the condition holds, OK elsewhere, as an array."""
    return jnp.where(jnp.any(jnp.asarray(condition)), jnp.int32(status), jnp.int32(Status.OK))


def worst_status(info: Any) -> Int[Array, ""]:
    """The worst `status` field found anywhere in a nested Info."""
    worst = jnp.int32(Status.OK)
    if isinstance(info, tuple):
        fields = getattr(info, "_fields", ())
        if "status" in fields:
            worst = jnp.max(jnp.asarray(info.status))  # pyright: ignore[reportAttributeAccessIssue]
        for name, part in zip(fields or range(len(info)), info, strict=True):
            if name != "status":
                worst = jnp.maximum(worst, worst_status(part))
    return worst
