"""The picture of the figure on sequential inference."""

from __future__ import annotations

import numpy as np
import xarray
from matplotlib.figure import Figure

from probinf.figures._transformer_metrics import mean_interval
from probinf.figures._validity_style import BLUE, GRAY, GREEN, ORANGE, STYLE, title


def plot_distribution_transformer_sequential(dataset: xarray.Dataset) -> Figure:
    """The three reasons, the classifiers, and the transformer's chain."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 4.4), dpi=110)
        grid = figure.add_gridspec(1, 4, left=0.05, right=0.985, top=0.72, bottom=0.14, wspace=0.33)
        regret, refit, blobs, stream = (figure.add_subplot(grid[i]) for i in range(4))
        where = np.arange(dataset.sizes["counts"])
        for task, color in ((0, BLUE), (1, ORANGE)):
            regret.bar(where + 0.2 * (2 * task - 1), dataset["regret"].values[:, task], 0.38, color=color,
                       label=f"task {task + 1}")  # fmt: skip
        regret.set_xticks(where, [str(name) for name in dataset["counts"].values])
        regret.set_xlabel("data of the two tasks")
        regret.set_title("exact, one mean: regret, nats")
        regret.legend(frameon=False, fontsize=9)
        steps = np.arange(1, dataset.sizes["refit_step"] + 1)
        refit.plot(steps, dataset["exact_truth"], "o-", color=BLUE, label="exact, two modes")
        refit.plot(steps, dataset["refit_truth"], "o-", color=ORANGE, label="refit to one Gaussian")
        refit.set_xlabel("tasks")
        refit.set_title("log-density of the truth")
        refit.legend(frameon=False, fontsize=9)
        tasks = np.arange(1, dataset.sizes["task"] + 1)
        found = [mean_interval(dataset["chain_accuracy"].isel(task=t).values) for t in range(tasks.size)]
        blobs.plot(tasks, [mean for mean, _ in found], "o-", color=ORANGE, label="HMC, fit, prior")
        blobs.fill_between(
            tasks, *np.minimum([bounds for _, bounds in found], 1).T, color=ORANGE, alpha=0.2, linewidth=0
        )
        for name, color, label in (("batch", BLUE, "HMC on all data"), ("prototype", GREEN, "prototypes")):
            mean, (low, high) = mean_interval(dataset[f"{name}_accuracy"].values)
            blobs.errorbar(
                tasks[-1] + 0.25, mean, yerr=[[mean - low], [min(high, 1) - mean]], fmt="o", color=color, label=label
            )
        blobs.set_ylim(None, 1.02)
        blobs.set_xlabel("tasks")
        blobs.set_title("blobs: accuracy on all tasks so far")
        blobs.legend(frameon=False, fontsize=9, loc="lower left")
        updates = np.arange(1, dataset.sizes["update"] + 1)
        found = [mean_interval(dataset["stream_kl"].isel(update=t).values) for t in range(updates.size)]
        low, high = np.array([bounds for _, bounds in found]).T
        stream.plot(updates, [mean for mean, _ in found], "o-", color=BLUE)
        stream.fill_between(updates, np.maximum(low, 1e-6), high, color=BLUE, alpha=0.2, linewidth=0)
        stream.set_yscale("log")
        stream.set_xlabel("updates, posterior to prior")
        stream.set_title("transformer: KL(exact || ...), nats")
        for axes in (regret, refit, blobs, stream):
            axes.tick_params(colors=GRAY)
        title(
            figure,
            "Why posteriors that become priors forget, and what does not",
            "First two panels: exact. Blobs: five two-class tasks that share a label, Bayesian logistic regression, "
            f"{dataset.sizes['seed']} seeds. Right: {dataset.sizes['stream']} streams of linear-Gaussian data, 2-D,\n"
            "prior with four components, each posterior the next prior. Bands and bars: 95 % intervals.",
        )
    return figure
