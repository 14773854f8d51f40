"""The code in the guide for new algorithms runs, and its own assertions hold."""

import re
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "add_an_algorithm.md"


def test_the_skeleton_passes_its_checks():
    code = "\n\n".join(re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    assert code.count("assert ") == 3
    # Compiled without this file's annotations flag, as a reader's file would be.
    exec(compile(code, str(GUIDE), "exec", dont_inherit=True), {"__name__": "guide"})
