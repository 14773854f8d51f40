#!/usr/bin/env bash
# Installs the wheel beside the published package `verifiers` and shows that neither disturbs the other.
# usage: scripts/check_wheel.sh [python of an environment with the core dependencies]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=$(realpath -s "${1:-$root/.venv/bin/python}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "check_wheel: $1" >&2
    exit 1
}

# Build from a copy: outputs of older builds in the tree would end up in the wheel.
mkdir "$work/source"
tar -C "$root" --exclude='./.[!.]*' --exclude=./build --exclude=./dist --exclude='./*.egg-info' -cf - . |
    tar -C "$work/source" -xf -
"$python" -m pip wheel -q --no-build-isolation --no-deps -w "$work" "$work/source"
wheel=("$work"/probinf-*.whl)
"$python" -m zipfile -l "${wheel[0]}" >"$work/listing"
if grep -E '^(samplers|transformers_dist|verifiers)/' "$work/listing"; then
    fail "the wheel installs a top-level package that is not probinf"
fi

"$python" -m venv "$work/venv"
clean=$work/venv/bin/python
site=$("$clean" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
hashes() { (cd "$site" && find verifiers verifiers-*.dist-info -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum); }

"$clean" -m pip install -q --disable-pip-version-check --no-deps verifiers
hashes >"$work/before"
[ -s "$work/before" ] || fail "the published package left no file named verifiers"
"$clean" -m pip install -q --disable-pip-version-check --no-deps "${wheel[0]}"
hashes >"$work/beside"
cmp "$work/before" "$work/beside" || fail "installing probinf changed the package verifiers"

# Borrow the dependencies, after the installs, so that pip sees only what this environment holds.
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/borrowed.pth"
(cd "$work" && "$clean" - "$site" <<'PYTHON')
import importlib.util
import sys

import probinf
import probinf.samplers
import probinf.transformers_dist
import probinf.verifiers

for module in (probinf, probinf.samplers, probinf.transformers_dist, probinf.verifiers):
    assert module.__file__.startswith(sys.argv[1]), module.__file__
spec = importlib.util.find_spec("verifiers")
assert spec.origin == f"{sys.argv[1]}/verifiers/__init__.py", spec.origin
PYTHON

rm "$site/borrowed.pth"
"$clean" -m pip uninstall -q -y probinf
hashes >"$work/after"
cmp "$work/before" "$work/after" || fail "removing probinf changed the package verifiers"
echo "check_wheel: probinf and $(cd "$site" && echo verifiers-*.dist-info) live side by side"
