"""`probinf check`: the table of laws and what the checks found, row by row as they come."""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from probinf._maps import release_programs
from probinf.cases import planted_cases, shipped_cases
from probinf.validity import KernelCase, Row, SamplerCase, check_case

# Fixed, so that a verdict is a fact about the code and not about the day.
_SEED = 20250101
# Width of each column; the name and the law share what the others leave.
_WIDTHS = {"name": 0, "law": 0, "guarantee": 12, "worlds": 9, "exact": 7, "p": 7, "verdict": 9}
_RIGHT = ("worlds", "exact", "p", "verdict")


def run(*, planted: bool, json_path: Path | None, pattern: str = "*") -> int:
    """Check all that is shipped (and, with `planted`, that planted bugs are caught), printing each row as it comes.

    Args:
        planted: also check the planted bugs.
        json_path: where the rows are written, again after each of them.
        pattern: checks only cases whose name matches it, with * and ?, or holds it.

    Returns:
        0 if every shipped case passed and every planted bug was caught, 1 if not.

    Raises:
        ValueError: no case has such a name.
        OSError: the file cannot be written.
        KeyboardInterrupt: after a summary of what was checked; the file holds it.
    """
    # Where rows go to a file nothing says how wide they may be.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    if json_path is not None:
        # A folder that cannot be made is told now, not after minutes of checks.
        json_path.parent.mkdir(parents=True, exist_ok=True)
    cases = [_Chosen(i, case, False) for i, case in enumerate(shipped_cases())]
    if planted:
        cases += [_Chosen(i, case, True) for i, case in enumerate(planted_cases())]
    chosen = [case for case in cases if _matches(case.case.name, pattern)]
    if not chosen:
        raise ValueError(f"no case has a name like {pattern!r}: `probinf check` without --name lists all {len(cases)}")
    report = _Report(console, json_path, len(chosen))
    try:
        report.check(chosen)
    finally:
        console.print(report.summary())
    return 1 if report.wrong else 0


class _Chosen(NamedTuple):
    """A case, its place among its kind (which its key depends on), and whether it is a planted bug."""

    place: int
    case: SamplerCase | KernelCase
    planted: bool


class _Report:
    """The rows so far: printed, and written to the file, one after the other."""

    def __init__(self, console: Console, path: Path | None, total: int):
        self._console, self._path, self._total = console, path, total
        self._shipped: list[Row] = []
        self._bugs: list[Row] = []

    def check(self, chosen: list[_Chosen]) -> None:
        """Check the cases in turn."""
        with _bar(self._console) as bar:
            task = bar.add_task("", total=len(chosen))
            for planted, title, header in (
                (False, "Shipped samplers: what they claim, and what the checks found", _SHIPPED_HEADER),
                (True, "Planted bugs: every one must be caught", _PLANTED_HEADER),
            ):
                part = [one for one in chosen if one.planted is planted]
                if part:
                    self._console.print(f"[bold]{title}[/bold]")
                    self._console.print(_line(self._console, header))
                for one in part:
                    bar.update(task, description=one.case.name)
                    row = check_case(one.case, jax.random.fold_in(jax.random.key(_SEED), one.place))
                    (self._bugs if planted else self._shipped).append(row)
                    self._console.print(_line(self._console, (_planted_cells if planted else _shipped_cells)(row)))
                    self._write()
                    bar.advance(task)
                    release_programs()

    @property
    def wrong(self) -> int:
        """How many shipped cases did not pass, and planted bugs were missed."""
        return sum(row.verdict != "pass" for row in self._shipped) + sum(row.verdict != "flagged" for row in self._bugs)

    def summary(self) -> str:
        """One sentence."""
        passed = sum(row.verdict == "pass" for row in self._shipped)
        caught = sum(row.verdict == "flagged" for row in self._bugs)
        parts = [f"{passed} of {len(self._shipped)} shipped samplers pass"] if self._shipped else []
        parts += [f"{caught} of {len(self._bugs)} planted bugs are caught"] if self._bugs else []
        done = len(self._shipped) + len(self._bugs)
        if done < self._total:
            kept = f", which {self._path} holds" if self._path is not None and done else ""
            parts.append(f"stopped after {done} of {self._total} cases{kept}")
        return "; ".join(parts) + "."

    def _write(self) -> None:
        if self._path is None:
            return
        done = len(self._shipped) + len(self._bugs)
        content = {
            "complete": done == self._total,
            "samplers": [_sampler_row(row) for row in self._shipped],
            "planted": [_planted_row(row) for row in self._bugs],
        }
        _replace(self._path, json.dumps(content, indent=1) + "\n")


def _matches(name: str, pattern: str) -> bool:
    return fnmatch(name.lower(), pattern.lower()) or pattern.lower() in name.lower()


def _bar(console: Console) -> Progress:
    # Rows go to the same terminal above the bar; where they go to a file, the bar stays on the terminal.
    shown = console if console.is_terminal else Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal)


_Cells = tuple[str, str, str, str, str, str, str]
_SHIPPED_HEADER: _Cells = ("sampler", "law", "guarantee", "worlds", "exact", "p", "verdict")
_PLANTED_HEADER: _Cells = ("bug", "law", "caught by", "worlds", "exact", "p", "verdict")


def _line(console: Console, cells: _Cells) -> Table:
    """One row of the table, as wide as every other one."""
    line = Table.grid(padding=(0, 1))
    left = max(28, console.width - sum(_WIDTHS.values()) - len(cells))
    for name, width in (_WIDTHS | {"name": left * 3 // 5, "law": left * 2 // 5}).items():
        right = name in _RIGHT
        # In a narrow terminal words are folded, numbers never.
        line.add_column(width=width, justify="right" if right else "left", overflow="fold", no_wrap=right)
    line.add_row(*cells)
    return line


def _shipped_cells(row: Row) -> _Cells:
    verdict = f"[green]{row.verdict}" if row.verdict == "pass" else f"[red]{row.verdict}"
    return row.name, row.law, row.guarantee, *_numbers(row), verdict


def _planted_cells(row: Row) -> _Cells:
    verdict = "[green]caught" if row.verdict == "flagged" else "[red]missed"
    return row.name, row.law, row.caught_by or "-", *_numbers(row), verdict


def _numbers(row: Row) -> tuple[str, str, str]:
    return "-" if row.worlds is None else f"{row.worlds:,}", _number(row.exact_error), _number(row.p_value)


def _number(x: float | None) -> str:
    return "-" if x is None else f"{x:.1e}"


def _sampler_row(row: Row) -> dict[str, Any]:
    fields = ("name", "law", "guarantee", "exact_error", "p_value", "verdict")
    return {field: getattr(row, field) for field in fields}


def _planted_row(row: Row) -> dict[str, Any]:
    verdict = "caught" if row.verdict == "flagged" else "missed"
    return {"name": row.name, "caught_by": row.caught_by, "verdict": verdict}


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
