"""The figure on pairs as a table: one row for each model of each world."""

from __future__ import annotations

import numpy as np
import xarray

from probinf.figures._transformer_metrics import mean_interval

# Quantity, heading, and digits; those that depend on beta are at .05.
_COLUMNS = (
    ("variance", "E[variance]", 4),
    ("squared_error", "E[squared error]", 4),
    ("ece_1", "ECE-1", 4),
    ("ece_2", "ECE-2", 4),
    ("kl", "KL, nats", 3),
    ("coverage", "covered", 3),
    ("worst_coverage", "covered, worst decile", 3),
    ("ratio", "error / variance", 2),
    ("ratio_bound", "bound on it", 2),
    ("hallucinated", "impossible", 3),
    ("hallucination_bound", "1 - E[confidence]", 3),
    ("answered", "answered", 3),
    ("filtered_hallucinated", "impossible, of answers", 3),
)


def pairs_synthetic_table(dataset: xarray.Dataset) -> str:
    """Markdown; each entry is the mean over seeds and half its 95 % interval, and beta is .05."""
    lines = [
        f"Mean over {dataset.sizes['seed']} seeds, and half a 95 % t interval. Covered, answered and impossible of "
        "answers: at beta = .05. Error / variance: squared error over variance of at least .01.",
    ]
    for world in dataset["world"].values:
        lines += [
            "",
            f"**{world}**",
            "",
            "| model | " + " | ".join(heading for _, heading, _ in _COLUMNS) + " |",
            "|---" * (len(_COLUMNS) + 1) + "|",
        ]
        for model in dataset["model"].values:
            part = dataset.sel(world=world, model=model)
            if not np.isnan(part["ece_2"].values).all():
                entries = [_entry(part[name], digits) for name, _, digits in _COLUMNS]
                lines.append(f"| {model} | " + " | ".join(entries) + " |")
    return "\n".join(lines) + "\n"


def _entry(values: xarray.DataArray, digits: int) -> str:
    at = values.sel(beta=0.05) if "beta" in values.dims else values
    mean, (low, high) = mean_interval(at.values)
    return f"{mean:.{digits}f} ± {(high - low) / 2:.{digits}f}"
