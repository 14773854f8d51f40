#!/usr/bin/env bash
# arviz 0.23.4 and arviz-stats 1.3.3: the Monte Carlo error of a quantity in a small unit.
#
# Guess: errors scale with the unit: draws times 1e-17 have 1e-17 times the error of the mean, and a parameter around
#   1e-9 (a capacitance, a concentration) has as exact an error of its deviation as one around 1.
# Behavior: draws in a range below 1e-15 count as constant, and their number as the effective sample size. For the error
#   of the mean that is so below 1e-15; for that of the deviation, which squares the draws, below about 3e-8 already.
# Seen: strongly correlated draws (lag-one correlation .9), error over unit: mean 0.2480 and 0.0514 at 1e-17;
#   deviation 0.1248 and 0.0365 at 1e-9. Both versions agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# arviz-stats 1.3 needs Python 3.12 or newer.
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { echo 'set PYTHON to Python 3.12 or newer' >&2; exit 1; }
cat > "$folder/unit.py" <<'PY'
import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")
if sys.argv[1] == "arviz":
    from arviz import mcse
else:
    from arviz_stats.base import array_stats

    mcse = lambda draws, method: array_stats.mcse(draws, method=method, chain_axis=0, draw_axis=1)
noise = np.random.default_rng(0).normal(size=(4, 500))
draws = np.zeros((4, 500))
for t in range(1, 500):
    draws[:, t] = 0.9 * draws[:, t - 1] + noise[:, t]
for method, unit in (("mean", 1e-17), ("sd", 1e-9)):
    print(method, *(f"{float(mcse(draws * u, method=method)) / u:.4f}" for u in (1.0, unit)))
PY
for package in arviz==0.23.4 arviz-stats==1.3.3; do
    "$python" -m venv "$folder/$package"
    "$folder/$package/bin/pip" install -q --disable-pip-version-check "$package"
    "$folder/$package/bin/python" "$folder/unit.py" "${package%%==*}" | tee "$folder/out.txt"
    diff - "$folder/out.txt" <<< $'mean 0.2480 0.0514\nsd 0.1248 0.0365'
done
echo 'as stated'
