"""Writes the list of everything public, which a test compares with the code: `python scripts/public_api.py`."""

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

import probinf

FILE = Path(__file__).resolve().parent.parent / "tests" / "packaging" / "public_api.txt"


def packages() -> list[str]:
    """The package and its public packages; what has an underscore is private, and programs are not for import."""
    found = pkgutil.walk_packages(probinf.__path__, "probinf.")
    return ["probinf", *sorted(m.name for m in found if m.ispkg and "._" not in m.name and "weights" not in m.name)]


def listed() -> str:
    """A line for each public name: where it is imported from, and how it is called."""
    lines = []
    for name in packages():
        module = importlib.import_module(name)
        for public in sorted(dir(module)):
            thing = getattr(module, public)
            if not public.startswith("_") and not inspect.ismodule(thing) and is_ours(thing):
                lines.append(f"{name}.{public}{parameters(thing)}")
    return "\n".join(lines) + "\n"


def is_ours(thing: object) -> bool:
    """Constants count; classes and functions of other libraries do not."""
    return getattr(thing, "__module__", "probinf").startswith("probinf")


def parameters(thing: object) -> str:
    """Names, order, kinds and defaults of the parameters; their types are in the code."""
    if not callable(thing):
        return ""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(...)"
    return str(
        signature.replace(
            parameters=[
                p.replace(annotation=p.empty, default=p.empty if p.default is p.empty else _Default(p.default))
                for p in signature.parameters.values()
            ],
            return_annotation=signature.empty,
        )
    )


class _Default:
    """A default that prints the same everywhere: no addresses, no arrays."""

    def __init__(self, value: object):
        plain = value is None or isinstance(value, (bool, int, float, str, tuple))
        self.text = repr(value) if plain else "..."

    def __repr__(self) -> str:
        return self.text


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(listed(), end="")
    else:
        FILE.write_text(listed(), encoding="utf-8")
