"""Named entries of a model file, none of which may be ignored."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from probinf.lm._errors import ModelFileError


class Entries:
    """Entries by name that remember which of them were read.

    Law: after `finish` returns, every entry was read, or checked to be neutral, or is known to change nothing.

    Args:
        source: The file or folder, for messages.
        kind: What an entry is, for messages: "option", "tensor".
        values: The entries by name.
    """

    def __init__(self, source: Any, kind: str, values: Mapping[str, Any]) -> None:
        self.source, self.kind, self._values = source, kind, values
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise ModelFileError(f"{self.source} lacks the entry {name!r}.")
        self._read.add(name)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, name: str, default: Any = None) -> Any:
        """Read an entry; `default` where it is absent or null."""
        value = self[name] if name in self else None
        return default if value is None else value

    def expect(self, neutral: Mapping[str, Iterable[Any]]) -> None:
        """Refuse each of these entries that is present with another value than one of its neutral ones, or null.

        Raises:
            ModelFileError: an entry has another value.
        """
        for name, allowed in neutral.items():
            value = self.get(name)
            if value is not None and value not in tuple(allowed):
                raise ModelFileError(
                    f"{self.source}: the {self.kind} {name!r} is not supported with the value {value!r}."
                )

    def ignore(self, *patterns: str) -> None:
        """Mark the entries that match a pattern (`general.*`) as known to change nothing."""
        self._read |= {name for name in self if any(fnmatchcase(name, pattern) for pattern in patterns)}

    def finish(self) -> None:
        """Refuse what was neither read nor marked.

        Raises:
            ModelFileError: an entry is left, which may change the result.
        """
        left = sorted(set(self) - self._read)
        if left:
            more = f" and {len(left) - 3} more" if len(left) > 3 else ""
            names = ", ".join(repr(name) for name in left[:3])
            raise ModelFileError(
                f"{self.source}: the {self.kind} {names}{more} is not supported and may change the result: "
                "save the model without it, or use a library that knows it."
            )
