"""`probinf figures`: PNG, data and claims."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

_COLORS = {"holds": "green", "fails": "bold red", "undecided": "yellow"}


def run(names: Sequence[str], budget: str, folder: Path, data: Path | None = None) -> int:
    """Makes the named figures or groups (all by default) and prints their claims, whatever the verdicts; returns 0.

    A figure whose tables do not stand in `data` (or where it looks by default) is told and left out, unless it was
    named itself.

    Raises: ValueError for an unknown figure; OSError where the folder cannot be written; FileNotFoundError for a figure
    that was named and whose tables are missing.
    """
    from probinf.figures import FIGURES, make_figure

    groups: dict[str, list[str]] = {}
    for figure in FIGURES.values():
        groups.setdefault(figure.group or figure.name, []).append(figure.name)
    members = {**{name: [name] for name in FIGURES}, **groups}
    if unknown := [name for name in names if name not in members]:
        raise ValueError(f"There is no figure {unknown[0]!r}; choose from {', '.join(members)}.")
    console = Console()
    for name in dict.fromkeys(member for chosen in names or FIGURES for member in members[chosen]):
        place = data or FIGURES[name].reads
        if FIGURES[name].reads is not None and place is not None and not place.is_dir():
            message = (
                f"{name} needs tables that are not part of the package, and {place} is no folder: pass --data DIR."
            )
            if name in names:
                raise FileNotFoundError(message)
            console.print(message)
            continue
        with _bar() as bar:
            task = bar.add_task(name)

            def progress(done: int, total: int, current: str, task=task, bar=bar, name=name) -> None:  # noqa: ANN001
                bar.update(task, completed=done, total=total, description=f"{name}: {current}")

            claims = make_figure(FIGURES[name], budget, folder, data=data, progress=progress)
        console.print(_table(name, claims))
        console.print(
            f"{folder / name / name}.png, {folder / name / name}.nc and {folder / 'claims.json'} are written."
        )
    return 0


def _bar() -> Progress:
    console = Console(stderr=True)
    return Progress(
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
