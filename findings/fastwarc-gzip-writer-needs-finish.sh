#!/usr/bin/env bash
# FastWARC 2.0.1: consecutive records written to a GzipWriter form one gzip member, not one each, unless finish() is called after
# each record. FastWARC reads such a file; warcio and every reader that seeks by offset refuse or misread it.
# Seen: 1 member for 3 records without finish(), 3 with it.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fastwarc==2.0.1
"$folder/venv/bin/python" - <<'PY'
import io
import zlib

from fastwarc.stream_io import GzipWriter
from fastwarc.warc import WarcRecord, WarcRecordType


def members(data: bytes) -> int:
    count = 0
    while data:
        member = zlib.decompressobj(31)
        member.decompress(data)
        data, count = member.unused_data, count + 1
    return count


def written(finish: bool) -> bytes:
    file = io.BytesIO()
    stream = GzipWriter(file)
    for number in range(3):
        record = WarcRecord()
        record.init_headers(record_type=WarcRecordType.resource)
        record.headers["WARC-Target-URI"] = f"https://birds.example/{number}"
        record.set_bytes_content(f"page {number}".encode())
        record.write(stream)
        if finish:
            stream.finish()
    stream.finish()
    return file.getvalue()


without, with_finish = members(written(False)), members(written(True))
print("members without finish():", without, "with it:", with_finish)
assert (without, with_finish) == (1, 3)
PY
