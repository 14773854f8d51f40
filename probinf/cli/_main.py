"""The commands of `probinf`, and how their errors are told: one sentence, no traceback."""

import argparse
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import jax

from probinf import __version__
from probinf.cli._exit import EXIT_CODES, FAILED, USAGE, interrupted, leave, noting_interrupts, was_interrupted
from probinf.cli._figure_list import figure_list
from probinf.verifiers import Verifier, parse_verifier

_VERIFIERS = """\
verifiers (SPEC), each exact:
  words:lamp,forest,song;max=12   one line that contains all these words, in at most 12 words (max may be left out)
  count:8                         one line of exactly 8 words
  json:name,age                   one JSON object with these keys, and nothing else
  answer:12;intermediate=5,7      a text that states "the answer is 12"; numbers on the way there guide the particles
  each takes ;strength=1.5 too    how strongly particles are steered, in nats a part met; the law stays the same"""


class _Parser(argparse.ArgumentParser):
    """Tells a usage error in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def command() -> NoReturn:
    """Runs the command line and ends the process: what the script `probinf` calls."""
    leave(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; expected errors become one sentence on stderr.

    Raises: SystemExit for wrong usage, and for --help.
    """
    options = _parser().parse_args(arguments)
    with noting_interrupts():
        try:
            return _run(options)
        except BaseException as problem:
            if not was_interrupted(problem):
                raise
            return interrupted()


def _run(options: argparse.Namespace) -> int:
    from probinf.lm import ModelDownloadError

    try:
        _keep_compiled_programs()
        return options.command(options)
    except (ValueError, TypeError, OSError, ImportError, ModelDownloadError) as problem:
        print(f"probinf: {_one_line(problem)}", file=sys.stderr)
        return FAILED
    except (MemoryError, jax.errors.JaxRuntimeError) as problem:
        if not isinstance(problem, MemoryError) and "RESOURCE_EXHAUSTED" not in str(problem):
            raise
        print("probinf: this does not fit in memory: ask for fewer particles or tokens.", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="probinf", description="Probabilistic inference and verification.", epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"probinf {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_generate(commands)
    _add_figures(commands)
    models = _add(commands, "models", "list and download language models")
    actions = models.add_subparsers(required=True, metavar="ACTION", parser_class=_Parser)
    _add(actions, "list", "list the known models, their sizes, and which are here", _models_list)
    get = _add(actions, "get", "download a known model, unless it is there, and print its path", _models_get)
    get.add_argument("name", metavar="NAME", help="a known model, such as smollm2: see `probinf models list`")
    check = _add(commands, "check", "check the laws of all samplers, exactly where they can be enumerated", _check)
    check.add_argument("--planted", action="store_true", help="also show that planted bugs and attacks are caught")
    check.add_argument(
        "--name", metavar="PATTERN", default="*", help="only cases whose name matches, such as '*gibbs*'"
    )
    check.add_argument("--json", metavar="FILE", type=Path, help="write the table to a file, too, after each case")
    _add_serve(commands)
    return parser


def _add_generate(commands: argparse._SubParsersAction) -> None:
    generate = _add(commands, "generate", "write texts that a verifier accepts, with a language model", _generate)
    generate.formatter_class = argparse.RawDescriptionHelpFormatter
    generate.epilog = f"{_VERIFIERS}\n\n{_wrapped(EXIT_CODES)}"
    generate.add_argument("prompt", metavar="PROMPT", help="the request, put into the model's chat format")
    generate.add_argument(
        "--verifier", required=True, type=_verifier, metavar="SPEC", help='such as "words:lamp,song" (all forms below)'
    )
    generate.add_argument("--method", choices=("particle-filter", "best-of-n"), default="particle-filter")
    generate.add_argument("--particles", type=int, default=16, metavar="N", help="texts written together (16)")
    generate.add_argument("--seed", type=_seed, default=0, metavar="S", help="the same seed gives the same texts (0)")
    generate.add_argument(
        "--model", default="smollm2", metavar="PATH|NAME", help="a GGUF file, a model folder or a known name"
    )
    generate.add_argument("--max-tokens", type=int, default=48, metavar="T", help="longest text, in tokens (48)")
    generate.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def _seed(text: str) -> int:
    """A seed that no other one equals: keys have 32 bits."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to {2**32 - 1}, got {text!r}")
    return int(text)


def _verifier(text: str) -> Verifier:
    """Refuses a wrong verifier before anything else is loaded."""
    try:
        return parse_verifier(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(_one_line(problem)) from None


def _add_figures(commands: argparse._SubParsersAction) -> None:
    figures = _add(commands, "figures", "make figures, their data, and the list of claims", _figures)
    figures.formatter_class = argparse.RawDescriptionHelpFormatter
    figures.epilog = f"{figure_list()}\n\n{_wrapped(EXIT_CODES)}"
    figures.add_argument(
        "names", nargs="*", metavar="NAME", help="figures or groups of the list below, or all (default: quick)"
    )
    figures.add_argument(
        "--budget", choices=("smoke", "paper"), default="smoke",
        help="smoke takes the times of the list; paper is the same with more runs, 4 to 40 times the work (smoke)",
    )  # fmt: skip
    figures.add_argument("--out", type=Path, default=Path("figures"), metavar="DIR", help="where to (figures)")
    figures.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="tables of outcomes that imperfect_verifiers_counts needs and the package does not have",
    )


def _add_serve(commands: argparse._SubParsersAction) -> None:
    serve = _add(commands, "serve", "serve a language model to OpenAI-compatible clients, on this machine", _serve)
    serve.add_argument(
        "--model", default="smollm2", metavar="PATH|NAME", help="a GGUF file, a model folder or a known name"
    )
    serve.add_argument(
        "--reward", metavar="MODULE:FUNCTION", help="serve a reward, too: a function of prompt and response, in Python"
    )
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1: this machine only)")
    serve.add_argument("--port", type=_port, default=0, help="which port (0: any that is free)")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= 2**16:
        raise argparse.ArgumentTypeError(f"a port is a whole number from 0 to {2**16 - 1}, got {text!r}")
    return int(text)


def _add(
    commands: argparse._SubParsersAction,
    name: str,
    help_text: str,
    command: Callable[[argparse.Namespace], int] | None = None,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_text, description=help_text, epilog=EXIT_CODES)
    if command is not None:
        parser.set_defaults(command=command)
    return parser


# Each command imports what is slow only when it runs, so that `--help` and mistakes are told at once.
def _generate(options: argparse.Namespace) -> int:
    from probinf.cli._generate import run

    return run(options)


def _figures(options: argparse.Namespace) -> int:
    from probinf.cli._figures import run

    return run(options.names, options.budget, options.out, options.data)


def _models_list(options: argparse.Namespace) -> int:
    from probinf.cli._models import listed

    del options
    print(listed())
    return 0


def _models_get(options: argparse.Namespace) -> int:
    from probinf.cli._models import get

    print(get(options.name))
    return 0


def _check(options: argparse.Namespace) -> int:
    from probinf.cli._check import run

    return run(planted=options.planted, json_path=options.json, pattern=options.name)


def _serve(options: argparse.Namespace) -> int:
    from probinf.cli._serve import run

    return run(options)


def _keep_compiled_programs() -> None:
    """Lets later runs reuse what this one compiles, unless the user has a place for that."""
    from probinf.lm import cache_folder

    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    try:
        folder = cache_folder() / "jax"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return  # a cache is a convenience; RuntimeError: the user has no home
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100)


def _one_line(problem: BaseException) -> str:
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."
