"""What every test shares: checked types, strict shapes, a compilation cache, float64 on request."""

import ctypes
import gc
import importlib.metadata
import itertools
import os
from pathlib import Path

# Compiling takes most of the time of the tests, and less by half without optimization and with the older way to
# emit fusions, which XLA dropped after jaxlib 0.10: it refuses to start when it meets a flag that it does not know.
# Before the first import of JAX.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    _FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    os.environ["XLA_FLAGS"] = f"{_FLAGS} {os.environ.get('XLA_FLAGS', '')}"
else:
    os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level=0 {os.environ.get('XLA_FLAGS', '')}"

import beartype.typing  # noqa: F401  (named inside TYPECHECKER)
import jax
import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent

# The hook decorates methods, not classes, so beartype cannot know what `Self` is: it lets any object pass.
TYPECHECKER = (
    "beartype.beartype(conf=beartype.BeartypeConf(hint_overrides=beartype.FrozenDict({beartype.typing.Self: object})))"
)
# Before the first import of probinf: every annotated shape and type is checked at run time.
install_import_hook("probinf", TYPECHECKER)

jax.config.update("jax_numpy_rank_promotion", "raise")
# Compilation dominates the run time of the tests, so its results are kept between runs.
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".cache" / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# Traces are many small objects that live long: looking through all of them as often as Python would takes minutes.
gc.set_threshold(100_000, 50, 50)


@pytest.fixture
def x64():
    """Computes in float64 during one test, then restores the precision that was set."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published tables beside the checkout; without it, tests that read it are skipped."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of published tables, ../shared/data, is not beside this checkout")
    return folder


def pytest_runtest_teardown(item, nextitem):
    """Drops compiled programs before they take up too much memory, or all memory maps that Linux allows a process."""
    if nextitem is None or next(_FINISHED) % 10:
        return
    # Imported here: the import hook above must see the first import of probinf.
    from probinf._maps import release_programs

    full = _resident_bytes() > max(_MANY_BYTES, _KEPT[-1] + _MORE_BYTES)
    if release_programs(0.0 if full else 0.3):
        # What was freed goes back to the system only when it is asked to.
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
        _KEPT.append(_resident_bytes())


def _resident_bytes() -> int:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


# Each compiled program takes some twenty maps, each test some programs; looking at them takes milliseconds.
_FINISHED = itertools.count(1)
# A worker stays below 3 GiB: programs are dropped above this, and again when it has grown by as much as the second.
_MANY_BYTES, _MORE_BYTES = 3 * 2**29, 2**29
# What was left each time.
_KEPT = [0]
