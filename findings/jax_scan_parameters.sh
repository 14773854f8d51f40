#!/usr/bin/env bash
# jax 0.10.2 and 0.12.0.1: the parameters of the scan primitive in a jaxpr.
#
# Guess: a scan equation counts its constants and its carry (num_consts, num_carry), as it has for years, or at least
#   says of which form it is; a reader of jaxprs can go on splitting the inputs by these two numbers.
# Behavior: since 0.11 both are gone. Two trees, ft_in and ft_out, whose parts are read with .unpack(), stand for them,
#   and ClosedJaxpr is the same class as Jaxpr, so that isinstance no longer tells whether constants were bound.
# Seen: 0.10.2   ['jaxpr', 'length', 'num_carry', 'num_consts', 'reverse', 'unroll'] False
#       0.12.0.1 ['ft_in', 'ft_out', 'jaxpr', 'length', 'reverse', 'unroll'] True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# jax 0.12 needs Python 3.12 or newer.
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { echo 'set PYTHON to Python 3.12 or newer' >&2; exit 1; }

cat > "$folder/form.py" <<'PY'
import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

jaxpr = jax.make_jaxpr(lambda x: jax.lax.scan(lambda c, _: (2 * c, c), x, length=3))(1.0)
(scan,) = [e for e in jaxpr.jaxpr.eqns if e.primitive.name == "scan"]
print(sorted(set(scan.params) - {"linear", "_split_transpose"}), ClosedJaxpr is Jaxpr)
PY
for version in 0.10.2 0.12.0.1; do
    "$python" -m venv "$folder/$version"
    "$folder/$version/bin/pip" install -q --disable-pip-version-check "jax==$version" "jaxlib==$version"
    "$folder/$version/bin/python" "$folder/form.py" | tee "$folder/$version.txt"
done
diff - "$folder/0.10.2.txt" <<< "['jaxpr', 'length', 'num_carry', 'num_consts', 'reverse', 'unroll'] False"
diff - "$folder/0.12.0.1.txt" <<< "['ft_in', 'ft_out', 'jaxpr', 'length', 'reverse', 'unroll'] True"
echo 'as stated'
