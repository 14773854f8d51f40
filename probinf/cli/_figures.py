"""`probinf figures`: PNG, data and claims."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from probinf.cli._exit import DONE, interrupted, was_interrupted
from probinf.cli._figure_list import by_duration, chosen_figures, duration
from probinf.figures import FIGURES, Cells, make_figure
from probinf.figures._registry import tables_of

_COLORS = {"holds": "green", "fails": "bold red", "undecided": "yellow"}
_WITH = {"smoke": " on two cores", "paper": " on two cores with --budget smoke, and 4 to 40 times as long with paper"}


def run(names: Sequence[str], budget: str, folder: Path, data: Path | None = None) -> int:
    """Makes figures (the quick ones by default) and prints their claims, whatever the verdicts; returns the exit code.

    It begins with the list of what it will make. A figure that needs tables where `data` is None is left out, unless it
    was named itself. An interrupt ends it with what was kept.

    Raises: ValueError for an unknown figure; OSError where the folder cannot be written; FileNotFoundError for a figure
    that was named and whose tables are missing.
    """
    wanted = chosen_figures(names)
    figures = [name for name in wanted if data is not None or name in names or not FIGURES[name].needs_data]
    # What cannot be made or written is told now, not after minutes.
    for name in figures:
        tables_of(FIGURES[name], data)
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    _announce(console, figures, [name for name in wanted if name not in figures], budget)
    for done, name in enumerate(figures):
        try:
            with _bar(f"{done + 1} of {len(figures)}: {name}") as progress:
                claims = make_figure(FIGURES[name], budget, folder, data=data, progress=progress)
        except BaseException as problem:
            if not was_interrupted(problem):
                raise
            parts = Cells(folder / name / "cells").count()
            return interrupted(_kept(figures[:done], name, parts, folder))
        console.print(_table(name, claims))
        console.print(
            f"{folder / name / name}.png, {folder / name / name}.nc and {folder / 'claims.json'} are written."
        )
    return DONE


def _announce(console: Console, figures: Sequence[str], left_out: Sequence[str], budget: str) -> None:
    """What will be made, how long it takes, and what else there is."""
    if len(figures) == 1:
        console.print(f"{figures[0]} takes {duration(figures)}{_WITH[budget]}.")
        return
    console.print(f"{len(figures)} figures, {duration(figures)} in all{_WITH[budget]}:")
    for name in figures:
        console.print(f"  {name:<38} {duration([name])}")
    for name in left_out:
        console.print(f"Not {name}: it needs tables that are not part of the package; name it, with --data DIR.")
    others = [name for name in by_duration(FIGURES) if name not in (*figures, *left_out)]
    if others:
        console.print(
            f"Not now ({duration(others)} in all): `probinf figures NAME`, or all of them by `make all-figures`."
        )
    for name in others:
        console.print(f"  {name:<38} {duration([name])}")


def _kept(finished: Sequence[str], name: str, parts: int, folder: Path) -> str:
    whole = f"{', '.join(finished)} finished, in {folder}; " if finished else ""
    if not parts:
        return f"{whole}no part of {name} was finished, so nothing of it was kept."
    plural = "part" if parts == 1 else "parts"
    return (
        f"{whole}{parts} finished {plural} of {name} kept in {folder / name / 'cells'}: "
        f"`probinf figures {name} --out {folder}` goes on from there."
    )


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar that a figure's progress moves; where there is no terminal, one line at the start."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        # Elsewhere a bar is only noise.
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(title, total=None)

        def progress(done: int, total: int, part: str) -> None:
            if was_interrupted():
                raise KeyboardInterrupt
            bar.update(task, completed=done, total=total, description=f"{title}: {part}")

        yield progress


def _table(name: str, claims: list[dict[str, Any]]) -> Table:
    counts = {verdict: sum(claim["verdict"] == verdict for claim in claims) for verdict in _COLORS}
    title = f"Claims of {name}: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    table = Table(title=title)
    for column in ("claim", "measured", "published", "verdict"):
        table.add_column(column, justify="right" if column in ("measured", "published") else "left")
    for claim in claims:
        color = _COLORS[claim["verdict"]]
        published = "" if claim["published"] is None else str(claim["published"])
        verdict = f"[{color}]{claim['verdict']}[/]"
        table.add_row(claim["statement"], _measured(claim), published, verdict)
    return table


def _measured(claim: dict[str, Any]) -> str:
    numbers = [claim["value"], *claim["interval"]]
    value, low, high = ("?" if number is None else f"{number:+.3g}" for number in numbers)
    return value if low == high != "?" else f"{value} \\[{low}, {high}]"
