"""Runs the whole table of nonsense and prints, as one line of JSON, what was silent: see test_no_silent_nonsense.py."""

import enum
import gc
import importlib
import inspect
import json
from pathlib import Path
from typing import Any

from tests.packaging import nonsense
from tests.packaging.nonsense_excused import EXCUSED, PACKAGES
from tests.packaging.nonsense_numbers import NUMBERS
from tests.packaging.nonsense_samplers import SAMPLING

# tests.conftest would switch on the checks of types.
ROOT = Path(__file__).resolve().parents[2]


def excused(name: str, thing: Any) -> bool:
    """Whether there is nothing to hand over nonsense to, or a reason why not to."""
    record = inspect.isclass(thing) and issubclass(thing, (tuple, enum.Enum, BaseException))
    return not callable(thing) or record or inspect.isabstract(thing) or name in EXCUSED or name.startswith(PACKAGES)


def main() -> None:
    """Print the faults, and the public names that are neither in the table nor excused."""
    # As in tests/conftest.py: traces are many small objects that live long.
    gc.set_threshold(100_000, 50, 50)
    table = NUMBERS | SAMPLING
    announced = (ROOT / "tests" / "packaging" / "public_api.txt").read_text(encoding="utf-8").splitlines()
    names = {line.split("(")[0] for line in announced}
    missing = [name for name in sorted(names - set(table)) if not excused(name, _found(name))]
    found = [f"{name}, {fault}" for name, case in table.items() for fault in nonsense.faults(case)]
    vain = sorted((set(EXCUSED) & set(table)) | ((set(EXCUSED) | set(table)) - names))
    report = {"calls": nonsense.CALLS[0], "faults": found, "missing": missing, "excused in vain": vain}
    print(json.dumps(report))


def _found(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    main()
