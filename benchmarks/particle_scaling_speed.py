"""Particle filtering of many problems in one program: speed, the share of resampling, and its_hub on the same models.

    python benchmarks/particle_scaling_speed.py                   # ours alone
    python benchmarks/particle_scaling_speed.py --its-hub FOLDER  # FOLDER: `pip install --target FOLDER its_hub==0.2.4`

its_hub's particle filter (ParticleFiltering, the odds of the reward at each step) drives the same language model and
the same reward model through its own interface. Its backend here keeps the state of every prefix and decodes all
particles of a problem together, so that what is compared is the two ways of driving, and not two decoders; what its
resampling does to the law is told in docs/errata.md.
"""

import argparse
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from probinf import Resample, spawn
from probinf._particles import take_lanes
from probinf.arithmetic import VOCABULARY, answer_of
from probinf.figures._scaling_arithmetic import arithmetic_bench
from probinf.figures._scaling_runs import LANES, Search, final_clouds
from probinf.figures.particle_scaling_curve import filter_by_odds
from probinf.resampling import Multinomial

STEP_MARK, END = ";", "<eos>"


def seconds(run, repeats=3):
    """The best time of a few, after one that may compile."""
    jax.block_until_ready(run(0))
    best = np.inf
    for i in range(repeats):
        started = time.perf_counter()
        jax.block_until_ready(run(i + 1))
        best = min(best, time.perf_counter() - started)
    return best


def right_share(clouds, problems):
    best = jnp.argmax(clouds.log_rewards, axis=1)
    chosen = jnp.take_along_axis(clouds.answers, best[:, None], axis=1)[:, 0]
    return np.asarray(chosen == problems.answers, float)


@eqx.filter_jit
def in_batches(search, writer, answer, problems, keys, size):
    """All problems in one program, `size` of them side by side."""
    rows = jax.tree.map(lambda leaf: leaf.reshape(-1, size, *leaf.shape[1:]), (problems, keys))
    clouds = jax.lax.map(lambda row: final_clouds(search, writer, answer, *row), rows)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), clouds)


def one_program(count, n):
    """All problems in one compiled call."""
    bench = arithmetic_bench(count)
    search, writer = Search(filter_by_odds, n), bench.writer()
    keys = jax.vmap(lambda seed: jax.random.split(jax.random.key(seed), count))(jnp.arange(8))
    started = time.perf_counter()
    size = LANES // n
    program = in_batches.lower(search, writer, bench.answer, bench.problems, keys[0], size).compile()
    compiling = time.perf_counter() - started
    run = lambda i: program(search, writer, bench.answer, bench.problems, keys[i], size)  # noqa: E731
    took = seconds(run)
    clouds = run(0)
    tokens = int(clouds.tokens.sum())
    print(f"| N={n} x {count} problems, one call: seconds | {took:.2f} |")
    print(f"| tokens/s (drawn) | {tokens / took:,.0f} |")
    print(f"| solutions/s | {n * count / took:,.0f} |")
    print(f"| compiling, seconds | {compiling:.1f} |")
    # Ten problems at a time, as in the run.
    share = resampling_seconds(bench, writer, size, n) * (count / size) / took
    print(f"| resampling, share of the time (target < 2 %) | {100 * share:.1f} % |")


def resampling_seconds(bench, writer, count, n):
    """The seconds that all rounds of resampling take, of clouds as large as those of the run."""
    resample, rounds = Resample(Multinomial()), writer.max_steps - 1

    @eqx.filter_jit
    def clouds():
        start = lambda ids, length: writer.with_prompt(ids, length).start().sample_lanes(jax.random.key(0), (), n)  # noqa: E731
        return jax.vmap(start)(bench.problems.prompt_ids[:count], bench.problems.lengths[:count])

    @eqx.filter_jit
    def all_rounds(values, key):
        def one(values, key):
            def again(carry, key):
                weight_key, key = jax.random.split(key)
                cloud = spawn(n, carry).replace(log_weights=jax.random.normal(weight_key, (n,)))
                return resample(key, cloud)[0].values, None

            return jax.lax.scan(again, values, jax.random.split(key, rounds))[0]

        return jax.vmap(one)(values, jax.random.split(key, count))

    values = clouds()
    return seconds(lambda i: all_rounds(values, jax.random.key(i)))


class Backend:
    """A language model and a reward model as its_hub wants them, over one problem at a time."""

    def __init__(self, writer):
        self.writer, self.key = writer, jax.random.key(0)

    def ask(self, problem, n):
        """Begin a problem."""
        self.problem, self.rows, self.rewards = problem, {"": 0}, {}
        self.cloud = _start(self.writer, problem, n)

    def generate(self, messages_lst, **_):
        """The next step of each particle, from the state that its text has."""
        texts = [messages[1].content if len(messages) > 1 else "" for messages in messages_lst]
        rows = np.array([self.rows[text] for text in texts], np.int32)
        n = len(self.cloud.steps)
        self.key, key = jax.random.split(self.key)
        padded = jnp.asarray(np.pad(rows, (0, n - len(rows))))
        self.cloud = _step(self.writer, self.cloud, padded, key)
        generation = self.cloud.generation
        tokens, lengths = np.asarray(generation.tokens), np.asarray(generation.length)
        odds = np.asarray(self.cloud.log_odds)[np.arange(n), np.asarray(self.cloud.steps) - 1]
        answers = []
        for i, text in enumerate(texts):
            whole = "".join(f" {VOCABULARY[t]}" for t in tokens[i, : lengths[i]])
            self.rows[whole] = i
            # The driver takes the end mark off before it asks for the reward.
            self.rewards[whole] = self.rewards[whole.removesuffix(END)] = float(1 / (1 + np.exp(-odds[i])))
            answers.append({"role": "assistant", "content": whole[len(text) :]})
        return answers

    def score(self, prompt, responses):
        """The rewards of texts that were written here."""
        del prompt
        return [self.rewards[response] for response in responses]


@eqx.filter_jit
def _start(writer, problem, n):
    return writer.with_prompt(*problem).start().sample_lanes(jax.random.key(0), (), n)


@eqx.filter_jit
def _step(writer, cloud, rows, key):
    return writer.step().sample_lanes(key, take_lanes(cloud, rows), len(rows))


def against_its_hub(folder, count, n):
    """Both filters on the same problems, in turns."""
    sys.path.append(folder)
    from its_hub.algorithms.particle_gibbs import ParticleFiltering  # pyright: ignore[reportMissingImports]
    from its_hub.lms import StepGeneration  # pyright: ignore[reportMissingImports]

    bench = arithmetic_bench(count)
    writer, problems = bench.writer(), bench.problems
    search = Search(filter_by_odds, n)
    generation = StepGeneration(
        writer.max_steps, step_token=[STEP_MARK], stop_token=END,
        temperature=1.0, include_stop_str_in_output=True,
    )  # fmt: skip
    backend = Backend(writer)
    peer = ParticleFiltering(generation, backend)
    keys = [jax.random.split(jax.random.key(seed), count) for seed in range(6)]
    index = {piece: i for i, piece in enumerate(VOCABULARY)}

    def theirs(_):
        right = []
        for ids, length, answer in zip(problems.prompt_ids, problems.lengths, problems.answers, strict=True):
            backend.ask((ids, length), n)
            text = peer.infer(backend, "solve", n)["content"]
            right.append(_answer(text, index) == int(answer))
        return np.array(right, float)

    ours = lambda i: right_share(  # noqa: E731
        jax.block_until_ready(final_clouds(search, writer, bench.answer, problems, keys[i])), problems
    )

    def one_by_one(i):
        single = jax.tree.map(lambda leaf: leaf[:, None], problems)
        parts = [
            final_clouds(
                search, writer, bench.answer, jax.tree.map(lambda leaf, j=j: leaf[j], single), keys[i][j : j + 1]
            )
            for j in range(count)
        ]
        clouds = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
        return right_share(clouds, problems)

    runs = {"probinf, one call": ours, "probinf, problem by problem": one_by_one, "its_hub 0.2.4": theirs}
    best, accuracy = dict.fromkeys(runs, np.inf), {name: [] for name in runs}
    for i in range(4):
        for name, run in runs.items():
            started = time.perf_counter()
            found = run(i)
            if i:  # the first round compiles
                best[name] = min(best[name], time.perf_counter() - started)
                accuracy[name].append(found.mean())
    print(f"\n| N={n}, {count} problems | seconds (best of 3) | ratio | accuracy, argmax (3 runs) |\n|---|---|---|---|")
    for name in runs:
        ratio = best[name] / best["probinf, one call"]
        print(f"| {name} | {best[name]:.2f} | {ratio:.1f} | {np.mean(accuracy[name]):.3f} |")


def _answer(text, index):
    """The answer of a text, -1 for none."""
    tokens = [index[piece] for piece in text.split()]
    return int(answer_of(jnp.asarray(tokens, jnp.int32), jnp.int32(len(tokens))))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--its-hub", metavar="FOLDER")
    arguments = parser.parse_args()
    print("| measure | value |\n|---|---|")
    one_program(100, 128)
    if arguments.its_hub:
        against_its_hub(arguments.its_hub, 50, 16)


if __name__ == "__main__":
    main()
