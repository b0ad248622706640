#!/usr/bin/env bash
# orjson 3.13.0 reads an integer over 64 bits as a float, without an error: ids and counters lose their last digits. Python's
# json keeps them. `dumps` refuses such an integer.
# Seen: 18446744073709551615 (int), 1.8446744073709552e+19 for 18446744073709551616, -9.223372036854776e+18 for
# -9223372036854775809.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check orjson==3.13.0
"$folder/venv/bin/python" - <<'PY'
import json

import orjson

assert orjson.loads("18446744073709551615") == 18446744073709551615
for text in ("18446744073709551616", "-9223372036854775809"):
    value = orjson.loads(text)
    print(text, "is read as", repr(value))
    assert isinstance(value, float) and isinstance(json.loads(text), int)
try:
    orjson.dumps(2**64)
except TypeError as error:
    print("dumps:", error)
else:
    raise SystemExit("dumps takes it now")
PY
