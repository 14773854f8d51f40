"""Constraint: the text is one JSON object with the given keys."""

from collections.abc import Iterable

import equinox as eqx

from probinf.verifiers._json_prefix import read_json_object
from probinf.verifiers._verifier import Verifier, check_strength
from probinf.verifiers._words import spoken


def _as_keys(keys: Iterable[str]) -> tuple[str, ...]:
    if isinstance(keys, str):
        raise TypeError(f"keys must be a sequence of keys, so write ({keys!r},) instead of {keys!r}.")
    return tuple(keys)


class JsonObject(Verifier):
    """Accepts a text that is one JSON object (RFC 8259) with at least the given keys.

    White space around the object is allowed, other text is not; no object in it, nested ones included, may
    repeat a key; further keys are allowed. Progress: `strength` for each required key that is written.

    Law: `alive` is exact: it is false if and only if no continuation is accepted.

    Raises: ValueError for no key or a repeated key; TypeError for a single string.
    """

    keys: tuple[str, ...] = eqx.field(static=True, converter=_as_keys)
    strength: float = eqx.field(static=True, default=1.5, converter=float)

    def __check_init__(self) -> None:
        check_strength(self.strength)
        if not self.keys or "" in self.keys:
            raise ValueError('JsonObject needs keys that are not empty, for example JsonObject(("name",)).')
        if len(set(self.keys)) < len(self.keys):
            raise ValueError(f"give each required key once, not {', '.join(self.keys)}.")

    @property
    def name(self) -> str:
        return f"json:{','.join(self.keys)}" + ("" if self.strength == 1.5 else f";strength={self.strength}")

    def accepts(self, text: str) -> bool:
        read = read_json_object(text)
        return read is not None and read.closed and read.keys.issuperset(self.keys)

    def alive(self, prefix: str) -> bool:
        read = read_json_object(prefix)
        return read is not None and (not read.closed or read.keys.issuperset(self.keys))

    def progress(self, text: str, finished: bool) -> float:
        read = read_json_object(text)
        return 0.0 if read is None else self.strength * len(read.keys.intersection(self.keys))

    def instruction(self) -> str:
        noun = "key" if len(self.keys) == 1 else "keys"
        return f"Reply with only one JSON object that has the {noun} {spoken(self.keys)}."

    def rejection(self, text: str) -> str:
        read = read_json_object(text)
        if read is None or not read.closed:
            return "it is not one JSON object"
        return f"it lacks {spoken(tuple(key for key in self.keys if key not in read.keys))}"
