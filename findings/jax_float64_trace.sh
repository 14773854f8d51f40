#!/usr/bin/env bash
# jax 0.10.2: an array of NumPy that a trace in float64 has read.
#
# Guess: float64 ends with `with jax.enable_x64(True)`; afterwards jnp.asarray makes float32 of an array of NumPy, as it
#   did before and does with any other array of the same content.
# Behavior: jnp.asarray of the very array that a function converted, while it was traced inside of the block, goes on
#   giving float64 as long as the function lives, and adding it to an array of float32 fails in the compiled program. A
#   copy, a view, device_put and a named type give float32; jax.clear_caches() restores the first. The same with jax
#   0.12.0.1. So a library that reads users' code in float64 should copy their tables when it converts them.
# Seen: asarray float64, copy float32, named float32, sum RuntimeProgramInputMismatch, cleared float32
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2

cat > "$folder/table.py" <<'PY'
import jax
import jax.numpy as jnp
import numpy as np

table = np.log([0.5, 0.2, 0.3])


def plus_table(x):
    return x + jnp.asarray(table)


with jax.enable_x64(True):
    jax.make_jaxpr(plus_table)(jnp.zeros(3))
kept, copied = jnp.asarray(table).dtype, jnp.asarray(table.copy()).dtype
try:
    total = (jnp.zeros(3) + table).dtype
except jax.errors.JaxRuntimeError as error:
    total = "RuntimeProgramInputMismatch" if "RuntimeProgramInputMismatch" in str(error) else error
named = jnp.asarray(table, jnp.result_type(table)).dtype
jax.clear_caches()
print(f"asarray {kept}, copy {copied}, named {named}, sum {total}, cleared {jnp.asarray(table).dtype}")
PY
"$folder/env/bin/python" "$folder/table.py" 2>/dev/null | tee "$folder/seen.txt"
diff "$folder/seen.txt" - <<< 'asarray float64, copy float32, named float32, sum RuntimeProgramInputMismatch, cleared float32'
echo 'as stated'
