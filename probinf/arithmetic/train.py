"""Train the shipped models: `python -m probinf.arithmetic.train language-model` and then `... rewards`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import jax

from probinf.arithmetic._language_training import TrainingConfig, train_language_model
from probinf.arithmetic._load import WEIGHTS, load_language_model, save_language_model, save_reward
from probinf.arithmetic._network import NetworkConfig
from probinf.arithmetic._reward_training import LEVELS, first_prefixes, train_reward
from probinf.arithmetic._rollouts import roll_out
from probinf.arithmetic._weights import decoder_of

SHIPPED = TrainingConfig(steps=800, batch=64)
_PROBLEMS = 9_000  # of the reward split: more than 60,000 steps


def main(arguments: list[str] | None = None) -> None:
    """Train one of the parts and write its weights, with the command and settings in the file's metadata."""
    parser = argparse.ArgumentParser(prog="python -m probinf.arithmetic.train", description=__doc__)
    parser.add_argument("part", choices=["language-model", "rewards"])
    parser.add_argument("--folder", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--checkpoint", type=Path, default=None, help="resume the language model from this file")
    parser.add_argument("--levels", nargs="*", choices=sorted(LEVELS), default=list(LEVELS))
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    command = {"command": f"python -m probinf.arithmetic.train {options.part}"}
    if options.part == "language-model":
        config = NetworkConfig()
        network, _ = train_language_model(config, SHIPPED, checkpoint=options.checkpoint, show_progress=True)
        settings = {**command, "training": json.dumps(dataclasses.asdict(SHIPPED))}
        save_language_model(options.folder, decoder_of(network), config, settings)
        return
    lm = load_language_model(options.folder)
    most = max(LEVELS[name].rollouts for name in options.levels)
    data = roll_out(jax.random.key(10), lm, _PROBLEMS, most)
    for name in options.levels:
        level = LEVELS[name]
        reader, head, _ = train_reward(level, lm, data, show_progress=True)
        used = first_prefixes(data, level.prefixes, level.rollouts)
        settings = {
            **command,
            "training": json.dumps(dataclasses.asdict(level)),
            "prefixes": str(int(used.written.sum())),
            "completions": str(level.rollouts),
        }
        save_reward(options.folder, name, reader, head, NetworkConfig(layers=level.layers), settings)


if __name__ == "__main__":
    main()
