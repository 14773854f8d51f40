#!/usr/bin/env bash
# numpyro 0.22.0 with funsor 0.4.8: jnp.where on a discrete site that is summed out.
#
# Guess: the density of a model does not depend on whether a row of probabilities is chosen by rows[z] or by
#   jnp.where(z == 0, rows[0], rows[1]); or at least the second is refused.
# Behavior: during the sum z has an axis of its values on the left, [2, 1], which jnp.where lines up with the categories;
#   the result [2, 2] passes for one row with other entries, and the density is another without a word.
# Seen: log-densities -1.5838 (right: the sum over both sites by hand) and -1.0133. Not compiled, numpyro refuses the
#   second where its rows no longer sum to one; MCMC compiles.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/where.py" <<'PY'
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.contrib.funsor import config_enumerate, enum, log_density

ROWS = jnp.array([[0.9, 0.1], [0.3, 0.7]])
MEANS = jnp.array([0.0, 1.0])


def by_index(z):
    return ROWS[z]


def by_where(z):
    return jnp.where(z == 0, ROWS[0], ROWS[1])


def density(row):
    def model():
        first = numpyro.sample("first", dist.Categorical(jnp.array([0.6, 0.4])))
        second = numpyro.sample("second", dist.Categorical(row(first)))
        numpyro.sample("y", dist.Normal(MEANS[second], 1.0), obs=1.5)

    # Compiled, as MCMC does.
    return float(jax.jit(lambda: log_density(enum(config_enumerate(model), first_available_dim=-1), (), {}, {})[0])())


normal = np.exp(-0.5 * (1.5 - np.array(MEANS)) ** 2) / np.sqrt(2 * np.pi)
exact = np.log(np.array([0.6, 0.4]) @ np.array(ROWS) @ normal)
print(*(f"{value:.4f}" for value in (exact, density(by_index), density(by_where))))
PY
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpyro==0.22.0 funsor==0.4.8 jax==0.10.2 jaxlib==0.10.2
"$folder/venv/bin/python" "$folder/where.py" | tee "$folder/out.txt"
diff - "$folder/out.txt" <<< "-1.5838 -1.5838 -1.0133"
echo 'as stated'
