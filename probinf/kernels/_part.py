"""Parts of a value: what a kernel updates while the rest stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax


class Part(eqx.Module):
    """A part of a value, by the key of a dictionary, the index of an array, or a selector as of `eqx.tree_at`.

    Law: `put(x, get(x))` is x, and `get(put(x, part))` is the part.
    """

    where: str | int | Callable[[Any], Any] = eqx.field(static=True)

    def get(self, x: Any) -> Any:
        """The part."""
        return x[self.where] if isinstance(self.where, (str, int)) else self.where(x)

    def put(self, x: Any, part: Any) -> Any:
        """The value with the part exchanged."""
        if isinstance(self.where, str):
            return {**x, self.where: part}
        if isinstance(self.where, int) and isinstance(x, jax.Array):
            return x.at[self.where].set(part)
        return eqx.tree_at(self.get, x, part)


def as_part(where: Any) -> Part:
    """A `Part` as it is, or one made of a key, an index or a selector.

    Raises: TypeError for anything else.
    """
    if isinstance(where, Part):
        return where
    if isinstance(where, bool) or not (isinstance(where, (str, int)) or callable(where)):
        raise TypeError(f"a part of a value is a key, an index or a function such as lambda x: x.scale, got {where!r}")
    return Part(where)
