"""Speed of the sandbox on HumanEval's tests, against a fresh interpreter for each program; prints a Markdown table.

    python benchmarks/sandbox_speed.py [--rounds 4]

Programs: each task's own solution, one that returns None, one that raises and one that does not parse, so that most
fail, as a weak model's do; one in a hundred loops until its processor time is over. The target is 16,000 programs
in 40 minutes on 2 cores: .15 seconds a program of wall time, .3 of processor time.
"""

import argparse
import resource
import subprocess
import sys
import time

from probinf.verifiers.programs import Sandbox, Trial, UnitTests, humaneval_tasks

WRONG = ("    return None\n", "    raise ValueError\n", "    return (\n")
LOOP = "    while True: pass\n"
FRESH = 20


def used() -> float:
    """Processor seconds of this process and of all that it has waited for."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def sample_of_trials(rounds: int, sandbox: Sandbox) -> list[Trial]:
    """What a study runs: every task, several programs each."""
    trials = []
    for task in humaneval_tasks():
        verifier = UnitTests(task, sandbox=sandbox)
        trials += [verifier.trial(text) for _ in range(rounds) for text in (task.canonical_solution, *WRONG)]
    looping = UnitTests(humaneval_tasks()[0], sandbox=sandbox).trial(LOOP)
    return [looping if place % 100 == 50 else trial for place, trial in enumerate(trials)]


def fresh_interpreter(trials: list[Trial]) -> float:
    """Wall seconds a program of the simplest peer: one new, unguarded interpreter for the program with its tests."""
    begin = time.perf_counter()
    for trial in trials:
        source = f"{trial.program}\n{trial.tests}\ncheck({trial.entry_point})\n"
        subprocess.run([sys.executable, "-I", "-c", source], capture_output=True, check=False)
    return (time.perf_counter() - begin) / len(trials)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    begin = time.perf_counter()
    sandbox = Sandbox(workers=2)
    started = time.perf_counter() - begin
    trials = sample_of_trials(arguments.rounds, sandbox)
    before, begin = used(), time.perf_counter()
    outcomes = sandbox.judge_all(trials)
    wall = time.perf_counter() - begin
    sandbox.close()  # waits for the workers, whose time then counts
    processor = used() - before
    passes = sum(outcome.passed for outcome in outcomes)
    fresh = fresh_interpreter([trial for trial in trials[:: len(trials) // FRESH] if LOOP not in trial.program])
    rows = [
        ("start of the sandbox, seconds", f"{started:.2f}"),
        ("programs", f"{len(trials)} ({passes} pass)"),
        ("wall milliseconds a program, 2 workers (target < 150)", f"{1000 * wall / len(trials):.1f}"),
        ("processor milliseconds a program (target < 300)", f"{1000 * processor / len(trials):.1f}"),
        ("16,000 programs, minutes (target < 40)", f"{16000 * wall / len(trials) / 60:.1f}"),
        ("a fresh interpreter, unguarded: wall milliseconds a program", f"{1000 * fresh:.1f}"),
    ]
    print("| measure | value |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
