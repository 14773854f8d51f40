#!/usr/bin/env bash
# transformers 5.24.0: add_bos_token and add_eos_token in tokenizer_config.json.
#
# Guess: a folder whose tokenizer_config.json says "add_bos_token": false gives texts without the token, and one that says
#   true gives it, whichever class the tokenizer is loaded as; a Llama folder of 2023 was switched so.
# Behavior: where tokenizer.json exists, both settings are read and have no effect. What is put around a text is what the
#   post-processor of tokenizer.json says. The same settings as arguments of from_pretrained do take effect.
# Seen: tokenizer.json adds it,   add_bos_token False: [1, 3] from the file, [3] as an argument
#       tokenizer.json adds none, add_bos_token True: [3] from the file, [1, 3] as an argument
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat > "$folder/begin.py" <<'PY'
import json
import pathlib
import sys

import tokenizers
from transformers import AutoTokenizer

for adds, setting in ((True, False), (False, True)):
    core = tokenizers.Tokenizer(tokenizers.models.BPE({"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3}, [], unk_token="<unk>"))
    core.add_special_tokens(["<unk>", "<s>", "</s>"])
    if adds:
        core.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    folder = pathlib.Path(sys.argv[1]) / str(adds)
    folder.mkdir()
    core.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": setting}
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    for options in ({}, {"add_bos_token": setting}):
        print(adds, setting, AutoTokenizer.from_pretrained(folder, **options)("a").input_ids)
PY
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check transformers==5.24.0 tokenizers==0.23.3
"$folder/env/bin/python" "$folder/begin.py" "$folder" 2> "$folder/warnings.txt" | tee "$folder/seen.txt"
diff - "$folder/seen.txt" <<'SEEN'
True False [1, 3]
True False [3]
False True [3]
False True [1, 3]
SEEN
echo 'as stated'
