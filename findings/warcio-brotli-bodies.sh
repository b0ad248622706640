#!/usr/bin/env bash
# warcio 1.8.1 with brotli 1.2.1: content_stream() can't read the content of a record with `Content-Encoding: br`: warcio asks
# the decompressor for `unused_data`, which brotli's lacks. The record itself is valid.
# Seen: AttributeError … has no attribute 'unused_data'.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check warcio==1.8.1 brotli==1.2.1
"$folder/venv/bin/python" - <<'PY'
import io

import brotli
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

page = b"<html><body>The heron stood in the shallow water.</body></html>"
file = io.BytesIO()
writer = WARCWriter(file, gzip=True)
headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html"), ("Content-Encoding", "br")], protocol="HTTP/1.1")
body = brotli.compress(page)
assert brotli.decompress(body) == page
writer.write_record(writer.create_warc_record("https://birds.example/", "response", payload=io.BytesIO(body), http_headers=headers))
file.seek(0)
(record,) = (record for record in ArchiveIterator(file) if record.rec_type == "response")
try:
    content = record.content_stream().read()
except AttributeError as error:
    print("AttributeError:", error)
    assert "unused_data" in str(error)
else:
    raise SystemExit(f"it is read now: {content[:40]!r}")
PY
