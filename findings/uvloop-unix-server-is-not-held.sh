#!/usr/bin/env bash
# uvloop 0.23.0 does not hold a server on a Unix socket, as asyncio and its own TCP servers do: `create_unix_server` has no `_ref()`
# where `create_server` has one. Whose caller drops the result has a server until the next garbage collection while nobody is
# connected; from then on connections are refused.
# Seen: "asyncio: accepted", "uvloop: refused".
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.23.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import asyncio
import gc
import socket
import sys

import uvloop


async def after_a_collection(path: str) -> str:
    await asyncio.get_running_loop().create_unix_server(asyncio.Protocol, path)
    gc.collect()
    await asyncio.sleep(0.1)
    with socket.socket(socket.AF_UNIX) as probe:
        return "refused" if probe.connect_ex(path) else "accepted"


by_asyncio = asyncio.run(after_a_collection(sys.argv[1] + "/a"))
by_uvloop = uvloop.run(after_a_collection(sys.argv[1] + "/u"))
print(f"asyncio: {by_asyncio}\nuvloop: {by_uvloop}")
assert (by_asyncio, by_uvloop) == ("accepted", "refused"), "uvloop holds it now"
PY
