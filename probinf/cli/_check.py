"""`probinf check`: the table of laws and what the checks found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from probinf.cases import planted_cases, shipped_cases
from probinf.validity import Row, check_case

# Fixed, so that a verdict is a fact about the code and not about the day.
_SEED = 20250101


def run(*, planted: bool, json_path: Path | None) -> int:
    """Checks all that is shipped (and, with `planted`, that all planted bugs are caught); prints; 0 if all is well."""
    console = Console()
    if json_path is not None:
        # A folder that cannot be made is told now, not after minutes of checks.
        json_path.parent.mkdir(parents=True, exist_ok=True)
    shipped = _check_all("shipped samplers", shipped_cases())
    bugs = _check_all("planted bugs", planted_cases()) if planted else []
    console.print(_shipped_table(shipped))
    if planted:
        console.print(_planted_table(bugs))
    if json_path is not None:
        _write(
            json_path,
            {"samplers": [_sampler_row(r) for r in shipped], "planted": [_planted_row(r) for r in bugs]},
        )
    flagged = sum(row.verdict != "pass" for row in shipped)
    missed = sum(row.verdict != "flagged" for row in bugs)
    console.print(_summary(shipped, bugs, flagged, missed, planted))
    return 1 if flagged or missed else 0


def _check_all(title: str, cases: tuple) -> list[Row]:
    rows = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=len(cases))
        for i, case in enumerate(cases):
            bar.update(task, description=case.name)
            rows.append(check_case(case, jax.random.fold_in(jax.random.key(_SEED), i)))
            bar.advance(task)
    return rows


def _sampler_row(row: Row) -> dict[str, Any]:
    fields = ("name", "law", "guarantee", "exact_error", "p_value", "verdict")
    return {field: getattr(row, field) for field in fields}


def _planted_row(row: Row) -> dict[str, Any]:
    verdict = "caught" if row.verdict == "flagged" else "missed"
    return {"name": row.name, "caught_by": row.caught_by, "verdict": verdict}


def _shipped_table(rows: list[Row]) -> Table:
    table = Table(title="Shipped samplers: what they claim, and what the checks found")
    for column, style in (("sampler", "bold"), ("law", "dim"), ("guarantee", "")):
        table.add_column(column, style=style, overflow="fold")
    for column in ("worlds", "exact error", "statistical p", "verdict"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        verdict = f"[green]{row.verdict}" if row.verdict == "pass" else f"[red]{row.verdict}"
        table.add_row(row.name, row.law, row.guarantee, _count(row.worlds), *_numbers(row), verdict)
    return table


def _planted_table(rows: list[Row]) -> Table:
    table = Table(title="Planted bugs: every one must be caught")
    table.add_column("bug", style="bold", overflow="fold")
    for column in ("exact error", "statistical p", "caught by", "verdict"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        verdict = "[green]caught" if row.verdict == "flagged" else "[red]missed"
        table.add_row(row.name, *_numbers(row), row.caught_by or "-", verdict)
    return table


def _numbers(row: Row) -> tuple[str, str]:
    return tuple("-" if x is None else f"{x:.1e}" for x in (row.exact_error, row.p_value))  # type: ignore[return-value]


def _count(worlds: int | None) -> str:
    return "-" if worlds is None else f"{worlds:,}"


def _summary(shipped: list[Row], bugs: list[Row], flagged: int, missed: int, planted: bool) -> str:
    text = f"{len(shipped) - flagged} of {len(shipped)} shipped samplers pass"
    return text + (f"; {len(bugs) - missed} of {len(bugs)} planted bugs are caught." if planted else ".")


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
