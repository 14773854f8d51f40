#!/usr/bin/env bash
# tokenizers 0.23.3: text of added tokens that hold Latin-1 letters, with the ByteLevel decoder.
#
# Guess: an added token is matched as written and decoded as written, so decode(encode(text)) is the text.
# Behavior: the decoder takes every token for byte-level spelling whose characters all occur in that alphabet, added
#   tokens too. A letter such as "ï" is then the single byte EF, which is no UTF-8; "Ġ" becomes a space. A token with one
#   character outside the alphabet is decoded as written, so "日本" works and "naïve" does not.
# Seen: naïve 'na\ufffdve' False
#       日本 '\u65e5\u672c' True
#       Ġx ' x' False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat > "$folder/added.py" <<'PY'
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

letters = sorted(pre_tokenizers.ByteLevel.alphabet())
core = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
words = ["naïve", "日本", "Ġx"]
core.add_tokens(words)
for word in words:
    text = core.decode(core.encode(word).ids)
    print(word, ascii(text), text == word)
PY
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check tokenizers==0.23.3
PYTHONIOENCODING=utf-8 "$folder/env/bin/python" "$folder/added.py" | tee "$folder/seen.txt"
diff - "$folder/seen.txt" <<'SEEN'
naïve 'na\ufffdve' False
日本 '\u65e5\u672c' True
Ġx ' x' False
SEEN
echo 'as stated'
