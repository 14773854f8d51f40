"""Speed and memory of the decoder beside llama.cpp, same file, one run; prints a Markdown table.

    python benchmarks/lm_speed.py [--peer-python PATH]

llama.cpp is measured through `xllamacpp` at batch 1, in a process of its own that runs before and after
ours, with one and with two threads; the best of all its runs counts. `--peer-python` names an interpreter
that has it (default: this one); without it the rows that compare are left out. On a shared machine only
ratios mean something.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from probinf.lm import (
    Continue,
    LoadedModel,
    Prompt,
    decode_block,
    load_model,
    model_path,
    resample_block,
    start_generation,
)

SLOTS, BLOCK, REPEATS = 128, 8, 5
PEER = """
import json, sys, xllamacpp
best = {}
for threads in (1, 2):
    p = xllamacpp.CommonParams()
    p.model.path = sys.argv[1]
    p.n_ctx, p.n_parallel = 512, 1
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(p)
    rates = []
    for seed in range(3):
        request = {"prompt": list(range(100, 140)), "n_predict": 48, "temperature": 0.8}
        reply = server.handle_completions(request | {"ignore_eos": True, "seed": seed})
        rates.append(reply["timings"]["predicted_per_second"])
    best[threads] = max(rates)
    del server
print("RATES " + json.dumps(best))
"""


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call, its results awaited."""
    begin = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - begin


def best(run: Callable[[], object]) -> float:
    """Least wall time of several calls after a first one that compiles."""
    jax.block_until_ready(run())
    return min(seconds(run) for _ in range(REPEATS))


def peer_rate(python: str, path: str) -> float | None:
    """Tokens per second of llama.cpp at batch 1, or None where it is not installed."""
    done = subprocess.run([python, "-c", PEER, path], capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RATES ")), None)
    if line is None:
        print(f"llama.cpp is not measured: {(done.stderr.splitlines() or ['no output'])[-1]}", file=sys.stderr)
        return None
    rates = json.loads(line.removeprefix("RATES "))
    print(f"llama.cpp tokens/s by threads: {rates}", file=sys.stderr)
    return max(rates.values())


def hardware() -> list[tuple[str, str]]:
    """The machine's own limits: copy bandwidth, and the rate of the model's largest products."""
    big = jnp.ones(2**26)
    copy = jax.jit(lambda x: x + 1.0, donate_argnums=0)
    times = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        big = copy(big).block_until_ready()
        times.append(time.perf_counter() - begin)
    weight, columns = jnp.ones((3072, 576)), jnp.ones((576, 64))
    product = best(lambda: jax.jit(jnp.matmul)(weight, columns))
    return [
        ("copy bandwidth, read and write", f"{2 * big.nbytes / min(times) / 1e9:.1f} GB/s"),
        ("float32 matmul 3072 x 576 x 64", f"{2 * 3072 * 576 * 64 / product / 1e9:.0f} GFLOP/s"),
    ]


def decoding(model: LoadedModel, lanes: int) -> dict[str, float]:
    """Compile time, decode time of one block, and resampling time of one cloud."""
    ids = model.tokenizer.encode(model.tokenizer.chat("Write a sentence with dog, river and moon."))
    prompt, continuation = Prompt(model.lm, ids, SLOTS), Continue(model.lm, BLOCK, temperature=0.8)
    generation = start_generation(prompt, lanes)
    compile_start = time.perf_counter()
    generation = jax.block_until_ready(decode_block(jax.random.key(0), continuation, generation))
    compiled = time.perf_counter() - compile_start
    rng = np.random.default_rng(0)
    warm = jnp.arange(lanes)
    generation = jax.block_until_ready(resample_block(generation, warm))
    blocks, moves = [], []
    for step in range(1, SLOTS // BLOCK):
        begin = time.perf_counter()
        generation = jax.block_until_ready(decode_block(jax.random.key(step), continuation, generation))
        blocks.append(time.perf_counter() - begin)
        weights = rng.exponential(size=lanes)
        ancestors = jnp.asarray(np.sort(rng.choice(lanes, lanes, p=weights / weights.sum())))
        begin = time.perf_counter()
        generation = jax.block_until_ready(resample_block(generation, ancestors))
        moves.append(time.perf_counter() - begin)
    return {
        "compile": compiled,
        "block": float(np.min(blocks)),
        "median block": float(np.median(blocks)),
        "move": float(np.sum(moves) / np.sum(blocks)),
    }


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=sys.executable)
    arguments = parser.parse_args()
    path = str(model_path("smollm2"))
    rates = [peer_rate(arguments.peer_python, path)]
    rows = hardware()
    begin = time.perf_counter()
    model = load_model("smollm2")
    rows.append(("load time (target < 20 s)", f"{time.perf_counter() - begin:.1f} s"))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(model.lm))
    ours = {}
    for lanes in (16, 64):
        found = decoding(model, lanes)
        ours[lanes] = lanes * BLOCK / found["block"]
        flops = 2 * parameters * lanes * BLOCK / found["block"]
        rows += [
            (f"N={lanes}: tokens/s, best block", f"{ours[lanes]:.0f}"),
            (f"N={lanes}: tokens/s, median block", f"{lanes * BLOCK / found['median block']:.0f}"),
            (f"N={lanes}: rate over the weights", f"{flops / 1e9:.0f} GFLOP/s"),
            (f"N={lanes}: resampling every {BLOCK} tokens (target < 2 %)", f"{100 * found['move']:.1f} %"),
            (f"N={lanes}: compile and first block", f"{found['compile']:.1f} s"),
        ]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows.append((f"peak memory, N=64 x {SLOTS} tokens (target < 4 GiB)", f"{memory:.2f} GiB"))
    if rates[0] is not None:
        rates.append(peer_rate(arguments.peer_python, path))
        peer = max(rate for rate in rates if rate is not None)
        rows.append(("llama.cpp, batch 1: tokens/s", f"{peer:.0f}"))
        rows += [
            (f"N={lanes}: ratio to llama.cpp{' (target >= 4)' if lanes == 64 else ''}", f"{rate / peer:.2f}")
            for lanes, rate in ours.items()
        ]
    print("| measure | value |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
