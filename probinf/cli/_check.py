"""`probinf check`: the table of laws and what the checks found, row by row as they come."""

from __future__ import annotations

import gc
import json
import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from probinf._maps import release_programs
from probinf.cases import attack_cases, planted_cases, shipped_cases, unusual_cases
from probinf.validity import Row, check_case

# Fixed, so that a verdict is a fact about the code and not about the day.
_SEED = 20250101
# Width of each column; the name and the law share what the others leave.
_WIDTHS = {"name": 0, "law": 0, "guarantee": 12, "worlds": 9, "branches": 8, "exact": 7, "p": 7, "verdict": 9}
_RIGHT = ("worlds", "branches", "exact", "p", "verdict")
# Below this many cases starting other processes takes longer than the checks.
_WORTH_PROCESSES = 16
# Each process holds up to 2 GiB.
_MOST_PROCESSES = 4


class _Group(NamedTuple):
    """Cases of one kind: what they are called, what each must get, and how closely it is looked at."""

    name: str
    title: str
    told: str
    thorough: bool


_SHIPPED = _Group(
    "samplers", "Shipped samplers: what they claim, and what the checks found", "shipped samplers pass", False
)
_UNUSUAL = _Group("unusual", "Unusual designs that are right: none may be flagged", "unusual right designs pass", True)
_PLANTED = _Group("planted", "Planted bugs: every one must be caught", "planted bugs are caught", False)
_ATTACKS = _Group("attacks", "Designs written to fool the checks: every one must be caught", "attacks are caught", True)
_GROUPS = (_SHIPPED, _UNUSUAL, _PLANTED, _ATTACKS)


class _Chosen(NamedTuple):
    """A case by its group and its place there, which its key depends on."""

    group: _Group
    place: int
    name: str
    wanted: str


def run(*, planted: bool, json_path: Path | None, pattern: str = "*") -> int:
    """Check all that is shipped, printing each row as it comes; with `planted` also what the checks are held to.

    Args:
        planted: also check that unusual right designs pass, and that planted bugs and attacks are caught.
        json_path: where the rows are written, again after each of them.
        pattern: checks only cases whose name matches it, with * and ?, or holds it.

    Returns:
        0 if every case got the verdict that it must get, 1 if not.

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
    cases = [
        _Chosen(group, place, case.name, wanted)
        for group in (_GROUPS if planted else (_SHIPPED,))
        for place, (case, wanted) in enumerate(_cases(group))
    ]
    chosen = [case for case in cases if _matches(case.name, pattern)]
    if not chosen:
        raise ValueError(f"no case has a name like {pattern!r}: `probinf check` without --name lists all {len(cases)}")
    _keep_every_program(None)
    _collect_seldom()
    report = _Report(console, json_path, chosen)
    try:
        report.check()
    finally:
        console.print(report.summary())
    return 1 if report.wrong else 0


def _cases(group: _Group) -> list[tuple[Any, str]]:
    """The cases of a group and the verdict that each must get; built once in a process."""
    if group.name not in _BUILT:
        make: dict[str, Callable[[], list[tuple[Any, str]]]] = {
            _SHIPPED.name: lambda: [(case, "pass") for case in shipped_cases()],
            _UNUSUAL.name: lambda: [(case, "pass") for case in unusual_cases()],
            _PLANTED.name: lambda: [(case, "flagged") for case in planted_cases()],
            _ATTACKS.name: lambda: [(attack.case, attack.verdict) for attack in attack_cases()],
        }
        _BUILT[group.name] = make[group.name]()
    return _BUILT[group.name]


_BUILT: dict[str, list[tuple[Any, str]]] = {}


def _row(chosen: _Chosen) -> Row:
    """The row of a case, in whichever process."""
    case, _ = _cases(chosen.group)[chosen.place]
    key = jax.random.fold_in(jax.random.key(_SEED), chosen.place)
    row = check_case(case, key, thorough=chosen.group.thorough)
    release_programs()
    return row


def _start_process(folder: str | None) -> None:
    """Lets the first process alone answer Ctrl-C, and shares what it compiled before."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep_every_program(folder)
    _collect_seldom()


def _collect_seldom() -> None:
    """Tracing makes many objects that live, which the collector would visit again and again: a sixth of the time."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


def _keep_every_program(folder: str | None) -> None:
    """Keeps small programs too: a check compiles some ten of them for each case."""
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _rows(chosen: list[_Chosen]) -> Iterator[Row]:
    """The rows in order, each as soon as it and those before it are there."""
    processes = min(os.cpu_count() or 1, _MOST_PROCESSES)
    folder = jax.config.values["jax_compilation_cache_dir"]
    if processes == 1 or len(chosen) < _WORTH_PROCESSES:
        yield from map(_row, chosen)
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_process, (folder,))
    try:
        yield from pool.map(_row, chosen)
    finally:
        # What runs ends by itself within seconds, what waits does not start.
        pool.shutdown(wait=True, cancel_futures=True)


class _Report:
    """The rows so far: printed, and written to the file, one after the other."""

    def __init__(self, console: Console, path: Path | None, chosen: list[_Chosen]):
        self._console, self._path, self._chosen = console, path, chosen
        self._done: list[tuple[_Chosen, Row]] = []

    def check(self) -> None:
        """Check the cases in turn."""
        rows = _rows(self._chosen)
        with _bar(self._console) as bar:
            task = bar.add_task("", total=len(self._chosen))
            group = None
            for one in self._chosen:
                if one.group is not group:
                    group = one.group
                    self._console.print(f"[bold]{group.title}[/bold]")
                    self._console.print(_line(self._console, _HEADERS[group.name]))
                bar.update(task, description=one.name)
                row = next(rows)
                self._done.append((one, row))
                self._console.print(_line(self._console, _cells(one, row)))
                self._write()
                bar.advance(task)

    @property
    def wrong(self) -> int:
        """How many cases did not get the verdict that they must get."""
        return sum(row.verdict != one.wanted for one, row in self._done)

    def summary(self) -> str:
        """One sentence."""
        parts = []
        for group in _GROUPS:
            rows = [(one, row) for one, row in self._done if one.group == group]
            if rows:
                parts.append(f"{sum(row.verdict == one.wanted for one, row in rows)} of {len(rows)} {group.told}")
        if len(self._done) < len(self._chosen):
            kept = f", which {self._path} holds" if self._path is not None and self._done else ""
            parts.append(f"stopped after {len(self._done)} of {len(self._chosen)} cases{kept}")
        return "; ".join(parts) + "."

    def _write(self) -> None:
        if self._path is None:
            return
        content: dict[str, Any] = {"complete": len(self._done) == len(self._chosen)}
        for group in dict.fromkeys(one.group for one in self._chosen):
            content[group.name] = [_fields(one, row) for one, row in self._done if one.group == group]
        _replace(self._path, json.dumps(content, indent=1) + "\n")


def _matches(name: str, pattern: str) -> bool:
    return fnmatch(name.lower(), pattern.lower()) or pattern.lower() in name.lower()


def _bar(console: Console) -> Progress:
    # Rows go to the same terminal above the bar; where they go to a file, the bar stays on the terminal.
    shown = console if console.is_terminal else Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal)


_Cells = tuple[str, ...]
_RIGHT_ONES: _Cells = ("sampler", "law", "guarantee", "worlds", "branches", "exact", "p", "verdict")
_WRONG_ONES: _Cells = ("bug", "law", "caught by", "worlds", "branches", "exact", "p", "verdict")
_HEADERS = {
    _SHIPPED.name: _RIGHT_ONES,
    _UNUSUAL.name: _RIGHT_ONES,
    _PLANTED.name: _WRONG_ONES,
    _ATTACKS.name: _WRONG_ONES,
}


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


def _cells(one: _Chosen, row: Row) -> _Cells:
    worlds = "-" if row.worlds is None else f"{row.worlds:,}"
    reached = "-" if row.branches is None else f"{row.branches[0]}/{row.branches[1]}"
    numbers = (worlds, reached, _number(row.exact_error), _number(row.p_value))
    color = "green" if row.verdict == one.wanted else "red"
    if one.wanted == "pass":
        return row.name, row.law, row.guarantee, *numbers, f"[{color}]{row.verdict}"
    found = {"flagged": "caught", "pass": "missed"}.get(row.verdict, row.verdict)
    return row.name, row.law, row.caught_by or "-", *numbers, f"[{color}]{found}"


def _number(x: float | None) -> str:
    return "-" if x is None else f"{x:.1e}"


def _fields(one: _Chosen, row: Row) -> dict[str, Any]:
    """What a row says, with what was looked at and what was not."""
    fields = row._asdict() | {
        "wanted": one.wanted,
        "exact_error": _finite(row.exact_error),
        "resolution": _finite(row.resolution),
        "compared": [
            {"what": found.what, "error": _finite(found.error), "tolerance": found.tolerance} for found in row.compared
        ],
    }
    return fields


def _finite(x: float | None) -> float | str | None:
    """JSON has no number for infinity."""
    return x if x is None or math.isfinite(x) else str(x)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
