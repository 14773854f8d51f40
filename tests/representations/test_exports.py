"""No function of the representations goes without a case for `probinf check`, and none without its line in the docs."""

import inspect
from pathlib import Path

from probinf import representations
from probinf.cases._representations import representations_cases

DOCS = Path(__file__).resolve().parents[2] / "docs" / "denotational.md"


def test_every_function_is_checked_and_explained():
    functions = {name for name, _ in inspect.getmembers(representations, inspect.isfunction)} - {"__getattr__"}
    assert len(functions) == 11
    words = set(" ".join(case.name for case in representations_cases()).replace(",", " ").split())
    assert functions - words == set()
    page = DOCS.read_text(encoding="utf-8")
    assert {name for name in functions if f"`{name}" not in page} == set()
