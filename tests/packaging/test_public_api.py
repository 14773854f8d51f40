"""What is public changes only on purpose: `python scripts/public_api.py` announces it, and this test reads it."""

import difflib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_public_names_are_those_announced():
    command = [sys.executable, str(ROOT / "scripts" / "public_api.py"), "--print"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr
    announced = (ROOT / "tests" / "packaging" / "public_api.txt").read_text(encoding="utf-8")
    changes = "\n".join(difflib.unified_diff(announced.splitlines(), run.stdout.splitlines(), "announced", "now", n=0))
    assert not changes, f"If this is meant, run scripts/public_api.py and tell it in CHANGELOG.md:\n{changes}"
    assert run.stdout.count("\n") > 300
