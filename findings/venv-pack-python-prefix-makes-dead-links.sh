#!/usr/bin/env bash
# venv-pack 0.2.0: `--python-prefix`, for workers whose base Python lies elsewhere than the builder's, makes links that lead nowhere. It
# replaces the beginning `…/bin/python` of each link's target by `PREFIX/bin/python3.N`, and what followed stays: of `…/bin/python3` becomes
# `PREFIX/bin/python3.N3`. It packs without a word, and the environment has no interpreter.
# Seen: bin/python3 -> /opt/elsewhere/bin/python3.113, of an environment of `python3 -m venv`.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/tools"
"$folder/tools/bin/pip" install --quiet --disable-pip-version-check venv-pack==0.2.0 setuptools==80.9.0
base="$("$folder/tools/bin/python" -c 'import sys; print(sys.base_prefix)')"
"$base/bin/python3" -m venv --without-pip "$folder/env"
"$folder/tools/bin/venv-pack" --version
"$folder/tools/bin/venv-pack" -q -p "$folder/env" -o "$folder/plain.tar.gz"
"$folder/tools/bin/venv-pack" -q -p "$folder/env" -o "$folder/moved.tar.gz" --python-prefix /opt/elsewhere
minor="$("$base/bin/python3" -c 'import sys; print(f"3.{sys.version_info.minor}")')"
for archive in plain moved; do
    mkdir "$folder/$archive"; tar -xzf "$folder/$archive.tar.gz" -C "$folder/$archive"
    link="$(readlink "$folder/$archive/bin/python3")"; echo "$archive: bin/python3 -> $link"
done
"$folder/plain/bin/python3" -c 'print("plain: runs")'
[ "$link" = "/opt/elsewhere/bin/python${minor}3" ]
