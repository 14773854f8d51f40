"""Curves that arXiv 2502.01618 prints, read off the vector paths of its figures; no error bars are published.

Source: versions 1 to 3 of the paper, figures 2 and 4 to 8. Figures 4 to 8 use 100 questions of MATH500, of which one
standard error is about five points; figure 2 uses all 500.
"""

BUDGETS = (1, 2, 4, 8, 16, 32, 64, 128)
LATE_BUDGETS = (4, 8, 16, 32, 64, 128)
Curve = tuple[float | None, ...]

# Accuracy on MATH500 against the number of generations, by model and method.
FIGURE_2: dict[str, dict[str, Curve]] = {
    "Llama-3.2-1B": {
        "WBoN": (0.202, 0.268, 0.342, 0.404, 0.428, 0.466, 0.478, 0.504),
        "PF": (0.208, 0.312, 0.4306, 0.502, 0.534, 0.572, 0.596, 0.6),
        "DVTS": (None, None, 0.402, 0.442, 0.488, 0.502, 0.528, 0.546),
    },
    "Llama-3.1-8B": {
        "WBoN": (0.388, 0.44, 0.488, 0.538, 0.574, 0.586, 0.59, 0.596),
        "PF": (0.414, 0.52, 0.624, 0.688, 0.722, 0.74, 0.744, 0.75),
        "DVTS": (None, None, 0.54, 0.586, 0.618, 0.63, 0.657, 0.67),
    },
    "Qwen2.5-Math-1.5B": {
        "WBoN": (0.706, 0.753, 0.81, 0.822, 0.834, 0.826, 0.828, 0.828),
        "PF": (0.708, 0.758, 0.792, 0.822, 0.818, 0.846, 0.854, 0.85),
        "DVTS": (None, None, 0.81, 0.82, 0.826, 0.828, 0.834, 0.834),
    },
    "Qwen2.5-Math-7B": {
        "WBoN": (0.762, 0.792, 0.81, 0.826, 0.834, 0.83, 0.846, 0.846),
        "PF": (0.764, 0.81, 0.848, 0.854, 0.866, 0.87, 0.87, 0.87),
        "DVTS": (None, None, 0.824, 0.83, 0.846, 0.846, 0.854, 0.854),
    },
}
# Particle filtering with four reward models (policy model not stated).
FIGURE_4: dict[str, Curve] = {
    "Qwen2.5-Math-PRM-7B": (0.4, 0.46, 0.62, 0.63, 0.64, 0.61, 0.58, 0.61),
    "Llama3.1-8B-PRM-Deepseek-Data": (0.15, 0.27, 0.4, 0.41, 0.46, 0.42, 0.44, 0.46),
    "EurusPRM-Stage2": (0.2, 0.272, 0.356, 0.444, 0.494, 0.57, 0.579, 0.594),
    "math-shepherd-mistral-7b-prm": (0.24, 0.25, 0.28, 0.35, 0.32, 0.355, 0.39, 0.34),
}
# Aggregation of the rewards of the steps.
FIGURE_5: dict[str, Curve] = {
    "model": (0.22, 0.31, 0.41, 0.52, 0.55, 0.6, 0.57, 0.6),
    "last": (0.22, 0.3, 0.41, 0.51, 0.52, 0.59, 0.62, 0.52),
    "min": (0.22, 0.35, 0.34, 0.43, 0.47, 0.51, 0.49, 0.48),
    "prod": (0.22, 0.3, 0.4, 0.51, 0.49, 0.54, 0.49, 0.53),
}
# Temperature of the language model.
FIGURE_6: dict[str, Curve] = {
    "0.4": (0.23, 0.35, 0.43, 0.5, 0.5, 0.54, 0.59, 0.64),
    "0.6": (0.18, 0.33, 0.4, 0.47, 0.55, 0.59, 0.55, 0.52),
    "0.8": (0.17, 0.31, 0.41, 0.51, 0.55, 0.59, 0.57, 0.59),
    "1.0": (0.22, 0.3, 0.41, 0.5, 0.52, 0.53, 0.57, 0.58),
    "1.2": (0.2, 0.29, 0.44, 0.46, 0.55, 0.56, 0.59, 0.59),
    "1.4": (0.13, 0.23, 0.34, 0.5, 0.55, 0.59, 0.52, 0.55),
}
# Particle Gibbs, by particles per iteration; entries of `LATE_BUDGETS`.
FIGURE_7: dict[str, Curve] = {
    "PF": (0.42, 0.52, 0.55, 0.6, 0.57, 0.6),
    "PG N=4": (0.33, 0.39, 0.4, 0.48, 0.5, 0.48),
    "PG N=8": (None, 0.48, 0.52, 0.52, 0.54, 0.52),
    "PG N=16": (None, None, 0.57, 0.56, 0.58, 0.54),
}
# Independent chains ("parallel tempering"), by particles per chain; entries of `LATE_BUDGETS`.
FIGURE_8: dict[str, Curve] = {
    "PF": (0.4, 0.41, 0.42, 0.42, 0.44, 0.46),
    "PT N=4": (0.35, 0.39, 0.4, 0.41, 0.43, 0.46),
    "PT N=8": (None, 0.4, 0.41, 0.43, 0.42, 0.44),
    "PT N=16": (None, None, 0.42, 0.45, 0.46, 0.48),
}
