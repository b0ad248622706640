#!/usr/bin/env bash
# uvloop 0.23.0 keeps no reference to a server on a Unix socket, unlike asyncio and its own TCP servers: `create_unix_server` has
# no `_ref()`, `create_server` has one. If the caller drops the result, the next garbage collection without a connected client
# closes the server, and connections are refused from then on.
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
