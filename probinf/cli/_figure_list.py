"""Which figures there are, how long each takes, and which ones a name stands for."""

from collections.abc import Iterable, Sequence

from probinf.figures import FIGURES, quick_figures


def chosen_figures(names: Sequence[str]) -> list[str]:
    """The figures that names stand for, each once: figures, groups, "quick" or "all"; without a name the quick ones.

    Raises: ValueError for an unknown name.
    """
    members = {**{name: [name] for name in FIGURES}, **_groups()}
    if unknown := [name for name in names if name not in members]:
        raise ValueError(f"There is no figure {unknown[0]!r}; choose from {', '.join(members)}.")
    return list(dict.fromkeys(figure for name in names or ["quick"] for figure in members[name]))


def figure_list() -> str:
    """All figures, quickest first, with how long each takes, and the groups."""
    rows = "\n".join(f"  {name:<38} {duration([name])}" for name in by_duration(FIGURES))
    groups = "\n".join(
        f"  {name:<38} {duration(members)}, {len(members)} figures" for name, members in _groups().items()
    )
    return f"""figures, and how long each takes on two cores at most (smoke):
{rows}

groups:
{groups}"""


def by_duration(names: Iterable[str]) -> list[str]:
    """The names, quickest first."""
    return sorted(names, key=lambda name: FIGURES[name].seconds or 0.0)


def duration(names: Iterable[str]) -> str:
    """About how long some figures take together, on two cores."""
    seconds = sum(FIGURES[name].seconds or 0.0 for name in names)
    return f"about {max(round(seconds, -1), 10):.0f} s" if seconds < 100 else f"about {seconds / 60:.0f} min"


def _groups() -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {"quick": quick_figures(), "all": by_duration(FIGURES)}
    for name in groups["all"]:
        if (group := FIGURES[name].group) is not None:
            groups.setdefault(group, []).append(name)
    return groups
