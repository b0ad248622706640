from __future__ import annotations

import gzip

import pytest

from prox_spark.readers.signatures import detect_wide_encoding, explain_content

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("content", ['{"text": "x"}', '\n{"text": "x"}', '{"Ключ": "x"}', '[\n{"text": "x"}]'])
def test_wide_encodings_are_told_with_and_without_a_byte_order_mark(encoding: str, content: str) -> None:
    head = content.encode(encoding)
    found = detect_wide_encoding(head)
    assert found and head.decode(found).lstrip("\ufeff") == content
    assert f"iconv -f {found} -t UTF-8" in (explain_content(head) or "")


@pytest.mark.parametrize(
    "content", ['{"text": "x"}', "", "\n", "{", '\ufeff{"text": "日本"}', '{"日本": 1}', "日本", "a\x00b"]
)
def test_utf_8_is_told_from_them(content: str) -> None:
    assert detect_wide_encoding(content.encode()) is None and explain_content(content.encode()) is None


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"PAR1\x15\x00", "Parquet"),
        (b"PK\x03\x04\x14", "ZIP"),
        (b"part-0.jsonl".ljust(257, b"\x00") + b"ustar\x0000", "tar"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html>", "HTML"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "server"),
        (gzip.compress(b"{}", mtime=0), "twice"),
        (b"ARROW1\x00\x00", "Arrow"),
        (b"\xff\x06\x00\x00sNaPpY", "snappy"),
    ],
)
def test_what_is_no_text_is_named(head: bytes, word: str) -> None:
    assert word in (explain_content(head) or "")
