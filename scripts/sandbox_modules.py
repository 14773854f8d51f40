"""Writes the modules that programs in the sandbox can import into docs/sandbox.md.

    python scripts/sandbox_modules.py [python3.13 ...]

Each interpreter that is named is asked, too: the page lists what all offer, and what only some do.
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "sandbox.md"
BEGIN, END = "<!-- modules -->\n", "<!-- end of modules -->"
_ASK = """
import json, sys
sys.path.insert(0, {folder!r})
from inside import stdlib
stdlib.load()
print(json.dumps([stdlib.offered(), stdlib.WITHHELD]))
"""


def ask(interpreter: str) -> tuple[list[str], dict[str, str]]:
    """Modules that a sandbox started by this interpreter offers, and those that it withholds, with the reasons."""
    code = _ASK.format(folder=str(ROOT / "verifiers" / "programs"))
    command = [interpreter, "-s", "-S", "-P", "-B", "-c", code]
    offered, withheld = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return offered, withheld


def listed(page: str) -> tuple[set[str], set[str]]:
    """Modules that the page lists: on every version of Python, and on some."""
    text = page.partition(BEGIN)[2].partition(END)[0]
    always, some, _ = text.split("\n\n")
    return set(_names(always)), set(_names(some))


def _names(text: str) -> list[str]:
    return text.split("`")[1::2]


def render(interpreters: list[str]) -> str:
    """The part of the page."""
    answers = [ask(interpreter) for interpreter in interpreters]
    every = set.intersection(*(set(offered) for offered, _ in answers))
    some = set.union(*(set(offered) for offered, _ in answers)) - every
    reasons: dict[str, list[str]] = {}
    for name, reason in answers[0][1].items():
        reasons.setdefault(reason, []).append(name)
    withheld = "; ".join(f"{_quoted(names)} ({reason})" for reason, names in reasons.items())
    parts = (
        f"On every version of Python from 3.11: {_quoted(sorted(every))}.",
        f"On some versions only: {_quoted(sorted(some))}.",
        f"Not offered: {withheld}.",
    )
    return "\n\n".join(textwrap.fill(part, 120) for part in parts) + "\n"


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main() -> None:
    """Rewrite the list of the page."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + BEGIN + render([sys.executable, *sys.argv[1:]]) + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
