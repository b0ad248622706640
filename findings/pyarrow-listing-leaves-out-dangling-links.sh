#!/usr/bin/env bash
# pyarrow 26.0.1: a recursive FileSelector on a local folder silently leaves out dangling symbolic links, while get_file_info
# of such a path returns NotFound. A half-finished download by links looks like a smaller data set.
# Seen: of a.jsonl and gone.jsonl only a.jsonl is listed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
mkdir "$folder/data"; echo '{"text": "a"}' > "$folder/data/a.jsonl"; ln -s "$folder/nowhere.jsonl" "$folder/data/gone.jsonl"
"$folder/venv/bin/python" - "$folder/data" <<'PY'
import os
import sys

import pyarrow.fs as pafs

folder = sys.argv[1]
local = pafs.LocalFileSystem()
listed = [info.base_name for info in local.get_file_info(pafs.FileSelector(folder, recursive=True))]
print("there:", sorted(os.listdir(folder)), "listed:", listed)
assert sorted(os.listdir(folder)) == ["a.jsonl", "gone.jsonl"] and listed == ["a.jsonl"]
assert local.get_file_info(f"{folder}/gone.jsonl").type == pafs.FileType.NotFound
PY
