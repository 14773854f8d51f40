"""Builds the documents: pages that are written, pages that are read off the code, then the site, then its links."""

import html.parser
import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

from probinf import Kernel, Sampler
from probinf._explain import documented

ROOT = Path(__file__).resolve().parent.parent
PAGES, SITE = ROOT / "build" / "pages", ROOT / "build" / "site"
# A page of the API, and the packages on it.
API = {
    "probinf": ["probinf"],
    "samplers": ["probinf.samplers"],
    "kernels": ["probinf.kernels"],
    "resampling": ["probinf.resampling"],
    "representations": ["probinf.representations"],
    "distributions": ["probinf.distributions"],
    "transformers_dist": [
        "probinf.transformers_dist",
        "probinf.transformers_dist.families",
        "probinf.transformers_dist.baselines",
        "probinf.transformers_dist.sequential",
    ],
    "verifiers": [
        "probinf.verifiers",
        "probinf.verifiers.pairs",
        "probinf.verifiers.pairs.baselines",
        "probinf.verifiers.imperfect",
        "probinf.verifiers.programs",
        "probinf.verifiers.procedures",
        "probinf.verifiers.deduction",
    ],
    "validity": ["probinf.validity", "probinf.validity.planted"],
    "lm": ["probinf.lm"],
    "interop": ["probinf.interop"],
    "servers": ["probinf.servers"],
    "scale": ["probinf.scale"],
    "arithmetic": ["probinf.arithmetic"],
}
_PROTOCOLS = {"Sampler", "Kernel"}


def main() -> int:
    """Writes the pages, builds the site, and returns 1 where a link leads nowhere."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES, ignore=shutil.ignore_patterns("*.json"))
    (PAGES / "index.md").write_text(_moved((ROOT / "README.md").read_text(), ""), encoding="utf-8")
    (PAGES / "changelog.md").write_text(_moved((ROOT / "CHANGELOG.md").read_text(), ""), encoding="utf-8")
    (PAGES / "benchmarks.md").write_text(
        _moved((ROOT / "benchmarks" / "README.md").read_text(), "benchmarks/"), encoding="utf-8"
    )
    (PAGES / "laws.md").write_text(laws(), encoding="utf-8")
    (PAGES / "claims.md").write_text(claims(json.loads((ROOT / "docs" / "claims.json").read_text())), encoding="utf-8")
    for page in PAGES.glob("*.md"):
        if page.name not in {"index.md", "changelog.md", "benchmarks.md"}:
            page.write_text(_moved(page.read_text(), "docs/"), encoding="utf-8")
    _notebooks()
    _api()
    # Not by --clean, which removes all of .cache, what others keep there too.
    shutil.rmtree(SITE, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "zensical", "build"], cwd=ROOT, check=True)
    broken = broken_links(SITE)
    for link in broken:
        print(link, file=sys.stderr)
    return 1 if broken else 0


def laws() -> str:
    """The page of laws: every sampler and kernel that is public, with what its docstring promises."""
    lines = ["# Laws", "", "Read off the code: the first sentence and the `Law:` line of each public docstring.", ""]
    for title, package, base in (
        ("Primitives", "probinf", Sampler),
        ("Published algorithms: parts", "probinf.samplers", Sampler),
        ("Published algorithms: functions", "probinf.samplers", None),
        ("Kernels", "probinf.kernels", Kernel),
        ("Kernels: functions", "probinf.kernels", None),
    ):
        lines += [f"## {title}", "", "| name | what it does | law |", "|---|---|---|"]
        for name, thing in _public(package):
            if name in _PROTOCOLS or not _belongs(thing, base):
                continue
            does, law = documented(thing)
            if law:
                lines.append(f"| `{name}` | {_cell(does)} | {_cell(law)} |")
        lines.append("")
    return "\n".join(lines)


def claims(entries: list[dict]) -> str:
    """The page of claims, one table a figure; verdicts as they came."""
    lines = [
        "# Claims",
        "",
        "Each criterion was written before the run that decides it; a verdict stays as it came.",
        "",
    ]
    verdicts = [entry["verdict"] for entry in entries]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in ("holds", "fails", "undecided"))
    lines += [f"{len(entries)} claims: {counts}.", ""]
    older = "particle_scaling (5 fail), distribution_transformer (3), validity (none) and lm_constraints (1)"
    lines += [f"Not on this page, because they were run before it was kept: {older}; the README counts them.", ""]
    for figure in dict.fromkeys(entry["id"].split("/")[0] for entry in entries):
        own = [entry for entry in entries if entry["id"].startswith(f"{figure}/")]
        lines += [f"## {figure}", "", f"`probinf figures {figure}`, after {own[0]['paper']}", ""]
        lines += ["| claim | criterion | value | interval | published | verdict |", "|---|---|---|---|---|---|"]
        for entry in own:
            low, high = (_number(bound) for bound in entry["interval"])
            published = "" if entry["published"] is None else str(entry["published"])
            cells = (entry["statement"], entry["criterion"], _number(entry["value"]), f"{low} to {high}", published)
            lines.append(f"| {' | '.join(map(_cell, cells))} | **{entry['verdict']}** |")
        lines.append("")
    return "\n".join(lines)


def broken_links(site: Path) -> list[str]:
    """Links and pictures of the built pages that lead to no page, no file or no heading, one sentence each."""
    pages = {page.resolve(): _Links(page) for page in site.rglob("*.html")}
    site = site.resolve()
    found = []
    for page, links in pages.items():
        for target in links.targets:
            path, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:|//", target):
                continue
            start = site if path.startswith("/") else page.parent
            place = (start / urllib.parse.unquote(path.split("?")[0]).lstrip("/")).resolve() if path else page.resolve()
            place = place / "index.html" if place.is_dir() else place
            if not place.exists():
                found.append(f"{page.relative_to(site)}: there is no {target}")
            elif anchor and place in pages and urllib.parse.unquote(anchor) not in pages[place].anchors:
                found.append(f"{page.relative_to(site)}: {target} has no such heading")
    return sorted(set(found))


class _Links(html.parser.HTMLParser):
    """What a page points to, and what can be pointed to on it."""

    def __init__(self, page: Path):
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = {"", "__skip"}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects ids, names, links and sources."""
        for name, value in attrs:
            if value and name in {"id", "name"}:
                self.anchors.add(value)
            elif value and (tag, name) in {("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")}:
                self.targets.append(value)


def _moved(text: str, folder: str) -> str:
    """Links of a file of the repository as links of a page: what is no page is named, not linked."""

    def move(match: re.Match) -> str:
        label, target = match[1], match[2]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, _, anchor = target.partition("#")
        place = Path(*_normal(Path(folder) / path))
        page = _page_of(place)
        if page is None:
            return match[0] if label.startswith("!") else f"{label.strip('[]')} (`{place}`)"
        return f"{label}({page}{'#' + anchor if anchor else ''})"

    return re.sub(r"(!?\[[^\]]*\])\(([^)\s]+)\)", move, text)


def _page_of(place: Path) -> str | None:
    fixed = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "benchmarks/README.md": "benchmarks.md"}
    name = place.as_posix()
    if name in fixed:
        return fixed[name]
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    if name.startswith("notebooks/") and name.endswith((".py", ".ipynb")):
        return str(Path(name).with_suffix(".md"))
    return None


def _normal(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return parts


def _notebooks() -> None:
    """The executed notebooks as pages, with their pictures."""
    from nbconvert import MarkdownExporter

    folder = PAGES / "notebooks"
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pictures = f"{notebook.stem}_files"
        resources = {"output_files_dir": pictures}
        page, found = MarkdownExporter().from_filename(str(notebook), resources)
        (folder / pictures).mkdir(parents=True)
        for name, content in found["outputs"].items():
            (folder / name).write_bytes(content)
        (folder / f"{notebook.stem}.md").write_text(_moved(page, "notebooks/"), encoding="utf-8")


def _api() -> None:
    (PAGES / "api").mkdir()
    for page, packages in API.items():
        lines = [f"# {packages[0]}", ""]
        for package in packages:
            lines += ["" if package == packages[0] else f"# {package}", ""]
            lines += [inspect.getdoc(importlib.import_module(package)) or "", ""]
            lines += [f"::: {package}.{name}\n" for name, thing in _public(package) if thing.__doc__]
        (PAGES / "api" / f"{page}.md").write_text("\n".join(lines), encoding="utf-8")


def _public(package: str) -> list[tuple[str, object]]:
    module = importlib.import_module(package)
    named = [(name, getattr(module, name)) for name in sorted(vars(module)) if not name.startswith("_")]
    ours = lambda thing: getattr(thing, "__module__", "").startswith("probinf")  # noqa: E731
    return [(name, thing) for name, thing in named if not inspect.ismodule(thing) and callable(thing) and ours(thing)]


def _belongs(thing: object, base: type | None) -> bool:
    return inspect.isroutine(thing) if base is None else inspect.isclass(thing) and issubclass(thing, base)


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", r"\|")


if __name__ == "__main__":
    sys.exit(main())
