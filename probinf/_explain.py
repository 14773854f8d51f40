"""What a sampler does, stage by stage, in words and mathematics; both are read off the code that runs."""

from __future__ import annotations

import dataclasses
import html
import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from probinf._measure import Factor, Guarantee, MeaningError, Measure


class Step(NamedTuple):
    """One part of a sampler: how deep it is nested, its name, what it does, its law, and the measure after it.

    `measure` is None within a part, whose own measure is told where it ends; `problem` is what makes it invalid.
    """

    depth: int
    name: str
    does: str
    law: str
    measure: Measure | None
    problem: str | None


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The steps of a sampler, printed as text, or as a table in a notebook."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """One paragraph a step."""
        return "\n".join(line for step in self.steps for line in _lines(step))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "<tr><th>stage</th><th>what it does</th><th>law</th><th>measure</th><th>guarantee</th></tr>"
        return f"<table>{head}{''.join(map(_row, self.steps))}</table>"


def explain(sampler: Any, m: Measure | None = None) -> Explanation:
    """Tell a sampler's (or kernel's) law stage by stage, with the measure that each stage leaves.

    Law: the measures are those of `meaning`, one stage after the other, starting from `m` (the unit measure by
    default); a kernel is told as keeping its `invariant` (INVARIANT). A stage that makes the composition invalid is
    told as a problem, not raised. The words are the first sentence and the `Law:` line of each part's docstring, so
    that parts of your own are explained by theirs.

    Raises: TypeError for what is neither a sampler nor a kernel.
    """
    if not _is_part(sampler):
        raise TypeError(f"explain takes a sampler or a kernel, got {type(sampler).__name__}")
    return Explanation(tuple(_steps(sampler, Measure() if m is None else m)))


def documented(kind: type | Any) -> tuple[str, str]:
    """The first sentence of a docstring and its `Law:` line, empty where there is none."""
    text = inspect.cleandoc(kind.__doc__ or "")
    first = " ".join(text.split("\n\n")[0].split())
    law = re.search(r"^Law: (.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return first, " ".join(law[1].split()) if law else ""


def parts(owner: Any) -> Iterator[tuple[str, Any]]:
    """The samplers and kernels that are fields of a module, or a stage that it builds, with their names."""
    for field in dataclasses.fields(owner):
        value = getattr(owner, field.name)
        if callable(getattr(owner, "at", None)) and field.name == "stage":
            # A loop whose stage depends on the row: the first row stands for all.
            value = owner.at(owner.row(0))
        if _is_part(value):
            yield field.name, value
        elif isinstance(value, tuple | list) and field.name != "stages":
            yield from ((f"{field.name}[{i}]", v) for i, v in enumerate(value) if _is_part(v))
    # Parts that are built when they are needed.
    yield from getattr(owner, "built_parts", {}).items()


def _is_part(value: Any) -> bool:
    kind = type(value)
    return callable(getattr(kind, "meaning", None)) or hasattr(kind, "move_lanes")


def _steps(sampler: Any, m: Measure) -> Iterator[Step]:
    measure: Measure | None = m
    for stage in getattr(sampler, "stages", (sampler,)):
        problem = None
        try:
            if measure is not None:
                # A kernel keeps its measure, however exactly: it says nothing of the law of the value that comes in.
                kept = hasattr(stage, "invariant") and not hasattr(stage, "meaning")
                measure = stage.invariant.claiming(Guarantee.INVARIANT) if kept else stage.meaning(measure)
        except MeaningError as error:
            measure, problem = None, str(error)
        yield Step(0, named(stage), *documented(type(stage)), measure, problem)
        yield from _inside(stage, 1)


def _inside(owner: Any, depth: int) -> Iterator[Step]:
    for field, part in parts(owner):
        for stage in getattr(part, "stages", (part,)):
            yield Step(depth, f"{field}: {named(stage)}", *documented(type(stage)), None, None)
            yield from _inside(stage, depth + 1)


def named(stage: Any) -> str:
    """The name of a part's class with its short settings, such as `Resample(scheme=Systematic, ess=0.5)`."""
    words = [(f.name, _word(getattr(stage, f.name))) for f in dataclasses.fields(stage)]
    return f"{type(stage).__name__}({', '.join(f'{name}={word}' for name, word in words if word)})"


def _word(value: Any) -> str:
    """A setting in a word; empty for what says nothing, or is told as a part of its own."""
    if value is None or value is False or _is_part(value):
        return ""
    if isinstance(value, Factor):
        return value.name
    if isinstance(value, bool | int | float | str):
        return str(value)
    if hasattr(value, "shape"):
        return _number(value)
    if isinstance(value, type) or inspect.isfunction(value):
        return value.__name__
    return type(value).__name__ if dataclasses.is_dataclass(value) else ""


def _number(value: Any) -> str:
    if np.shape(value):
        return f"array{tuple(np.shape(value))}"
    try:
        return f"{float(value):g}"
    except Exception:
        # A number inside a trace is not known.
        return "traced"


def _lines(step: Step) -> Iterator[str]:
    indent = "    " * step.depth
    yield f"{indent}{step.name}"
    yield f"{indent}    {step.does}"
    if step.law:
        yield f"{indent}    Law: {step.law}"
    if step.problem:
        yield f"{indent}    INVALID: {step.problem}"
    elif step.measure is not None:
        yield f"{indent}    now: {step.measure.name}   [{step.measure.guarantee.value}]"


def _row(step: Step) -> str:
    measure = guarantee = ""
    if step.problem:
        measure, guarantee = html.escape(step.problem), "<b>invalid</b>"
    elif step.measure is not None:
        measure, guarantee = f"${html.escape(step.measure.latex)}$", step.measure.guarantee.value
    name = f"{'&nbsp;' * 4 * step.depth}<code>{html.escape(step.name)}</code>"
    cells = (name, _coded(step.does), _coded(step.law), measure, guarantee)
    return "<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells) + "</tr>"


def _coded(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
