"""Encodings other than UTF-8, and kinds of files that are no text, told by the first bytes."""

from __future__ import annotations

import re

from prox_spark.readers.codecs import find_codec_by_content

# Number of a file's first bytes that are looked at. All signatures fit in.
HEAD_BYTES = 512

_BOMS = {
    # Stands before UTF-16's, with which it begins.
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_UNPACK = "unpack it and pass the files that are in it"
_KINDS = {
    rb"PAR1": "a Parquet file: pass --format parquet, and name it .parquet",
    rb"PK(?:\x03\x04|\x05\x06)": f"a ZIP archive: {_UNPACK}",
    rb"7z\xbc\xaf\x27\x1c": f"a 7z archive: {_UNPACK}",
    rb"(?s:.{257})ustar": f"a tar archive: {_UNPACK}",
    rb"Rar!\x1a\x07": f"a RAR archive: {_UNPACK}",
    rb"Obj\x01": "an Avro file: convert it to Parquet or JSON Lines",
    rb"ORC": "an ORC file: convert it to Parquet or JSON Lines",
    rb"ARROW1\x00\x00": "an Arrow file: convert it to Parquet or JSON Lines",
    rb"\xff\xff\xff\xff.\x00\x00\x00": "an Arrow stream, as `datasets` caches it: save it with `to_parquet` or `to_json`",
    rb"SQLite format 3\x00": "an SQLite database: export it as JSON Lines",
    rb"%PDF-": "a PDF file",
    rb"\xff\x06\x00\x00sNaPpY": "compressed by snappy, which is not read: repack it with gzip or zstd",
    rb"\x02\x21\x4c\x18": "compressed by an old lz4, which is not read: `lz4 -d` unpacks it",
    rb"\x1f[\x9d\xa0]": "compressed by `compress`, which is not read: `gunzip` unpacks it",
    rb"version https://git-lfs\.github\.com/spec/": "a pointer of Git LFS, not the data: `git lfs pull` fetches them",
    rb"(?i:\s*<(?:!doctype html|html))": "an HTML page, maybe what a server answered instead of the file",
    rb"\s*<(?:\?xml|Error>)": "XML, maybe what a server answered instead of the file",
}
_SIGNATURES = [(re.compile(pattern), kind) for pattern, kind in _KINDS.items()]


def explain_content(head: bytes) -> str | None:
    """Explain why a file can't hold JSON Lines, and what to do with it. Return None if it may hold some.

    Args:
        head: the first bytes, decompressed; `HEAD_BYTES` are enough.
    """
    if encoding := detect_wide_encoding(head):
        return f"the file is {encoding}, not UTF-8. `iconv -f {encoding} -t UTF-8 FILE` converts it"
    if codec := find_codec_by_content(head):
        return f"the file is compressed twice: what is in it is {codec.name} again. Unpack it once"
    kind = next((kind for pattern, kind in _SIGNATURES if pattern.match(head)), None)
    return f"the file is {kind}" if kind else None


def detect_wide_encoding(head: bytes) -> str | None:
    """Detect UTF-16 and UTF-32 by their byte order mark, else by the zero bytes of ASCII characters.

    Returns:
        The encoding as `iconv -f` takes it; None if it is neither.
    """
    for bom, encoding in _BOMS.items():
        if head.startswith(bom):
            return encoding
    # The first two characters of JSON are ASCII.
    zeros = {"x000": "UTF-32LE", "000x": "UTF-32BE", "x0x0": "UTF-16LE", "0x0x": "UTF-16BE"}
    return zeros.get("".join("x" if byte else "0" for byte in head[:4]))


def looks_like_json(head: bytes) -> bool:
    """Return True if an object or array begins here."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
