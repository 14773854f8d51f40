"""`probinf generate`: texts that a verifier accepts."""

import argparse
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from probinf import Factor, Sampler, Status, sample
from probinf.cli._exit import DONE, NOTHING_ACCEPTED, interrupted, was_interrupted
from probinf.cli._models import load
from probinf.lm import LanguageModel, Metered, Prompt, TextModel, read_prompt
from probinf.lm._errors import NoChatTemplateError
from probinf.samplers import best_of_n, particle_filtering
from probinf.verifiers import Accepted, TextPotential, Verifier, WordCount, Words, count_distinct
from probinf.verifiers._lane_texts import LaneText, lane_texts

_TOKENS_PER_STEP = 8
_LONG_PROMPT = 512  # tokens that take seconds to read
# Of the rejected texts, where none was accepted.
_REJECTED_SHOWN = 5


class Watched(Factor):
    """A factor that calls `tick` each time it is evaluated: once a step, for the progress bar."""

    factor: Factor
    tick: Callable[[], None] = eqx.field(static=True)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The factor's."""
        return self.factor.name

    @property
    def traceable(self) -> bool:
        """False: a compiled program would tick once and for all."""
        return False

    def log_density(self, x: Any) -> Float[Array, ""]:
        """The factor's."""
        return self.factor.log_density(x)

    def log_density_lanes(self, values: Any, n: int) -> Float[Array, " n"]:
        """The factor's, and a tick."""
        self.tick()
        return self.factor.log_density_lanes(values, n)


class Report(NamedTuple):
    """What a run found, as `--json` prints it.

    `texts` are the different accepted texts, heaviest first, `weights` sum to one over them. `log_z` estimates the log
    of P(accepted), and is null where nothing was. `distinct_successes` sets case and outer punctuation aside.
    `rejected` are some of the different texts that were not accepted, where none was, each with the reason.
    """

    texts: list[str]
    weights: list[float]
    log_z: float | None
    successes: int
    distinct_successes: int
    status: str
    tokens: int
    seconds: float
    rejected: list[tuple[str, str]]


def run(options: argparse.Namespace) -> int:
    """Writes texts and prints them; returns the exit code.

    Raises: ValueError for an empty prompt or one that does not fit, or fewer than one particle or token;
    ModelFileError, ModelDownloadError.
    """
    start = time.perf_counter()
    if not options.prompt.strip():
        raise ValueError("The prompt is empty: say what the text should be about.")
    if options.particles < 1:
        raise ValueError(f"A run needs at least one particle, got {options.particles}: pass --particles 16.")
    if options.max_tokens < 1:
        raise ValueError(f"A text needs at least one token, got {options.max_tokens}: pass --max-tokens 48.")
    try:
        report = write(load(options.model), options.verifier, options, start)
    except BaseException as problem:
        if not was_interrupted(problem):
            raise
        return interrupted("texts are kept only when all are finished, so the same command starts over.")
    if options.json:
        print(json.dumps(report._asdict()))
    elif report.successes:
        Console().print(_table(report, options.particles))
    if report.successes:
        return DONE
    if not options.json:
        Console(stderr=True).print(_rejected_table(report))
    print(
        f"probinf: none of the {options.particles} texts was accepted by {options.verifier.name}: "
        "use more particles, more tokens, another seed or an easier constraint.",
        file=sys.stderr,
    )
    return NOTHING_ACCEPTED


def write(model: TextModel, verifier: Verifier, options: argparse.Namespace, start: float) -> Report:
    """Runs the chosen method and gathers the accepted texts."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # The other verifiers read more than one line.
    stop = "\n" if isinstance(verifier, Words | WordCount) else None
    console = Console(stderr=True)
    ids = model.tokenizer.encode(prompt_text(model.tokenizer, options.prompt))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        Prompt(model.lm, ids, options.max_tokens)  # refuse what does not fit before it is read
        lm = Metered(lm=read_prompt(model.lm, ids, reading_bar(bar)))  # pyright: ignore[reportCallIssue]
        steps = -(-options.max_tokens // _TOKENS_PER_STEP)
        # Only a filter reports its steps.
        total = steps if options.method == "particle-filter" else None
        task = bar.add_task(f"writing {options.particles} texts", total=total)
        sampler = _sampler(lm, ids, model.tokenizer, verifier, options, stop, lambda: bar.advance(task))
        result = sample(sampler, jax.random.key(options.seed), options.particles)
    cloud = result.particles
    weights = np.asarray(cloud.normalized_weights)
    by_text: dict[str, float] = defaultdict(float)
    accepted, rejected = [], []
    for lane, weight in zip(lane_texts(cloud.values, model.tokenizer, stop), weights, strict=True):
        if weight > 0:
            accepted.append(lane.text)
            by_text[lane.text.strip()] += float(weight)
        else:
            rejected.append((lane.text.strip(), _reason(verifier, lane)))
    ranked = sorted(by_text.items(), key=lambda item: -item[1])
    log_z = float(cloud.log_z)
    return Report(
        texts=[text for text, _ in ranked],
        weights=[weight for _, weight in ranked],
        log_z=log_z if math.isfinite(log_z) else None,
        successes=len(accepted),
        distinct_successes=count_distinct(accepted),
        status=Status(result.status).name.lower(),
        tokens=int(cloud.values.state.computed.sum()),
        seconds=round(time.perf_counter() - start, 2),
        rejected=[] if accepted else list(dict.fromkeys(rejected))[:_REJECTED_SHOWN],
    )


def prompt_text(tokenizer: Any, prompt: str) -> str:
    """The prompt in the model's chat format; a model that has none goes on with the text itself."""
    try:
        return tokenizer.chat(prompt)
    except NoChatTemplateError:
        print("probinf: this model has no chat format, so it goes on with the text of the prompt.", file=sys.stderr)
        return prompt


def reading_bar(bar: Progress) -> Callable[[int, int], None]:
    """Show how much of a prompt is read: a bar on a terminal, elsewhere a line for each tenth of a long one."""
    task, shown = bar.add_task("reading the prompt", visible=False), 0

    def show(done: int, total: int) -> None:
        nonlocal shown
        bar.update(task, completed=done, total=total, visible=done < total)
        if bar.disable and total >= _LONG_PROMPT and 10 * done // total > shown:
            shown = 10 * done // total
            print(f"probinf: read {done} of {total} tokens of the prompt", file=sys.stderr, flush=True)

    return show


def _reason(verifier: Verifier, lane: LaneText) -> str:
    """Why a text was not accepted."""
    if verifier.accepts(lane.text):
        return "it was not finished within --max-tokens"
    if verifier.alive(lane.text) and not lane.finished:
        return "it was cut off by --max-tokens, and could still have been accepted"
    return verifier.rejection(lane.text)


def _sampler(
    lm: LanguageModel,
    ids: np.ndarray,
    tokenizer: Any,
    verifier: Verifier,
    options: argparse.Namespace,
    stop: str | None,
    tick: Callable[[], None],
) -> Sampler:
    knobs: dict[str, Any] = {
        "accepted": Accepted(verifier, tokenizer, stop),
        "max_new_tokens": options.max_tokens,
        "stop": None if stop is None else tokenizer.stop(stop),
    }
    if options.method == "best-of-n":
        return best_of_n(lm, ids, **knobs)
    twist = Watched(TextPotential(verifier, tokenizer, stop), tick)
    return particle_filtering(lm, ids, twist=twist, tokens_per_step=_TOKENS_PER_STEP, **knobs)


def _table(report: Report, particles: int) -> Table:
    mass = "?" if report.log_z is None else f"{math.exp(report.log_z):.3g}, log Z = {report.log_z:.3f}"
    table = Table(
        title="Accepted texts",
        caption=(
            f"{report.successes} of {particles} texts accepted ({report.successes / particles:.0%}), "
            f"{report.distinct_successes} different; P(accepted) is estimated as {mass}; status {report.status}; "
            f"{report.tokens} tokens in {report.seconds:.0f} s"
        ),
    )
    table.add_column("weight", justify="right")
    table.add_column("text", overflow="fold")
    for text, weight in zip(report.texts, report.weights, strict=True):
        table.add_row(f"{weight:.3f}", Text(text))
    return table


def _rejected_table(report: Report) -> Table:
    table = Table(title=f"Some of the rejected texts; {report.tokens} tokens in {report.seconds:.0f} s")
    table.add_column("text", overflow="fold")
    table.add_column("why")
    for text, reason in report.rejected:
        table.add_row(Text(text), Text(reason))
    return table
