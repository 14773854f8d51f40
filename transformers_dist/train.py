"""Train a shipped transformer, or a baseline: `python -m probinf.transformers_dist.train NAME`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from probinf.transformers_dist._shipped import RECIPES, WEIGHTS, save
from probinf.transformers_dist._training import train
from probinf.transformers_dist.baselines import BASELINES, save_baseline, train_baseline
from probinf.transformers_dist.baselines._shipped import baseline_training


def main(arguments: list[str] | None = None) -> None:
    """Train one recipe and write its weights, with the command and settings in the file's metadata."""
    parser = argparse.ArgumentParser(prog="python -m probinf.transformers_dist.train", description=__doc__)
    parser.add_argument("name", choices=sorted([*RECIPES, *BASELINES]))
    parser.add_argument("--folder", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--checkpoint", type=Path, default=None, help="resume from this file, and keep it up to date")
    parser.add_argument("--seed", type=int, default=None, help="another seed than the recipe's")
    options = parser.parse_args(arguments)
    baseline = options.name in BASELINES
    training = baseline_training(options.name) if baseline else RECIPES[options.name].training
    if options.seed is not None:
        training = dataclasses.replace(training, seed=options.seed)
    if baseline:
        model, losses = train_baseline(options.name, training, checkpoint=options.checkpoint, show_progress=True)
        path = save_baseline(options.name, model, training, options.folder)
    else:
        recipe = RECIPES[options.name]
        dt, losses = train(recipe.family(), recipe.network, training, checkpoint=options.checkpoint, show_progress=True)
        path = save(options.name, dt, options.folder)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB); last loss {sum(losses[-100:]) / len(losses[-100:]):.4f}")


if __name__ == "__main__":
    main()
