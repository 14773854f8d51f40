"""Second-order calibration on images of digits whose annotators disagree: models of pairs, and their rivals."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np
import xarray
from jaxtyping import Int, PRNGKeyArray

from probinf.figures._cells import Cells
from probinf.figures._pairs_image_runs import ANSWERS, BETAS, METHODS, by_digit, run
from probinf.figures._pairs_image_worlds import VARIANTS, ImageWorld, image_world
from probinf.figures._pairs_images_claims import pairs_images_claims as pairs_images_claims
from probinf.figures._pairs_images_plot import plot_pairs_images as plot_pairs_images
from probinf.verifiers.pairs import PairTraining

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """Worlds as data/variant, methods, seeds, and how each method is trained on them, of which all see as much."""

    worlds: tuple[str, ...]
    seeds: int
    steps: dict[str, int]
    methods: tuple[str, ...] = tuple(METHODS)
    batch: int = 128
    weight_decay: float = 1.0
    train: dict[str, int] | None = None

    def training(self, data: str) -> PairTraining:
        """The schedule of one data set."""
        return PairTraining(steps=self.steps[data], batch=self.batch, weight_decay=self.weight_decay)


_STEPS = {"digits": 300, "mnist": 600}
_DIGITS, _MNIST = (tuple(f"{data}/{variant}" for variant in VARIANTS) for data in ("digits", "mnist"))
PLANS = {
    "smoke": Plan((*_DIGITS, "mnist/scrambled"), 5, _STEPS),
    "paper": Plan((*_DIGITS, *_MNIST), 20, _STEPS),
}
# Images that teach; the rest calibrates and tests.
_TRAIN = {"digits": 1200, "mnist": 4000}


def pairs_images_data(
    key: PRNGKeyArray,
    budget: str | Plan = "smoke",
    *,
    cells: Cells | None = None,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Train every method on every world with several seeds, and measure it on images that it has not seen.

    Over `world` (data/variant), `model` and `seed`: `variance` and `squared_error` (means over images and classes),
    `ece_1`, `ece_2`, `kl` (nats), `ratio` (squared error over variance of at least .002) and `ratio_bound`, by votes on
    held-out images. `voted_squared_error` and `voted_ece_2` use the votes of 50 annotators, not the truth. Over `beta`
    too: `coverage` and `worst_coverage` of intervals of 1 - beta, and `bounded_coverage` and `half_width` of those that
    the bound makes. Of two test images, over `example`: `pixels` and `example_truth` in the first seed, and what the
    methods say: `example_probability` and its standard deviation for each `digit`, and the variance of an answer,
    summed over classes, in its parts `example_aleatoric` and `example_epistemic`.

    Raises: ValueError for an unknown budget; ImportError where the images are not installed.
    """
    if not isinstance(budget, Plan) and budget not in PLANS:
        raise ValueError(f"budget must be one of {', '.join(PLANS)}, not {budget!r}.")
    plan = budget if isinstance(budget, Plan) else PLANS[budget]
    cells = Cells(None) if cells is None else cells
    told: Progress = progress or (lambda done, total, current: None)
    worlds = {name: image_world(*name.split("/")) for name in plan.worlds}
    total, found = len(worlds) * len(plan.methods) * plan.seeds, {}
    for world in worlds:
        data = world.split("/")[0]
        taught, config = (plan.train or _TRAIN)[data], plan.training(data)
        for method in plan.methods:
            for seed in range(plan.seeds):
                told(len(found), total, f"{world}, {method}, seed {seed}")
                settings = {"world": world, "method": method, "seed": seed, "train": taught, "answers": ANSWERS}
                settings |= asdict(config)
                # The same for all methods, so that their differences are paired.
                run_key = jax.random.fold_in(key, seed)
                found[world, method, seed] = cells.get(
                    re.sub("[^a-z0-9]+", "-", f"{world} {method} {seed}".lower()),
                    settings,
                    lambda w=world, m=method, k=run_key, n=taught, c=config: run(k, worlds[w], m, n, c),
                )
    told(total, total, "done")
    variables = _shown(worlds, np.array([found[w, plan.methods[0], 0]["example"] for w in worlds], int))
    for quantity in [name for name in found[plan.worlds[0], plan.methods[0], 0] if name != "example"]:
        table = np.array(
            [[[found[w, m, s][quantity] for s in range(plan.seeds)] for m in plan.methods] for w in worlds]
        )
        more = ("example", "digit") if quantity.startswith("example_") else ("beta",)
        variables[quantity] = (("world", "model", "seed", *more)[: table.ndim], table)
    return xarray.Dataset(
        variables,
        coords={"world": list(worlds), "model": list(plan.methods), "beta": list(BETAS)},
        attrs={"budget": budget if isinstance(budget, str) else "custom"},
    )


def _shown(worlds: dict[str, ImageWorld], examples: Int[np.ndarray, "W E"]) -> dict[str, Any]:
    """Pixels and truth of the examples; NaN fills up the smaller images."""
    some = [world.pixels[rows] for world, rows in zip(worlds.values(), examples, strict=True)]
    most = max(rows.shape[1] for rows in some)
    pixels = [np.pad(rows, ((0, 0), (0, most - rows.shape[1])), constant_values=np.nan) for rows in some]
    truth = [by_digit(world.truth[rows]) for world, rows in zip(worlds.values(), examples, strict=True)]
    return {
        "pixels": (("world", "example", "pixel"), np.array(pixels)),
        "example_truth": (("world", "example", "digit"), np.array(truth)),
    }
