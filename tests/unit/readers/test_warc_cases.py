"""WARC and WET files from public bug reports, with the right result for each."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard
from warc_files import Found, read

from prox_spark.errors import ReasonCode
from prox_spark.readers import InputFormat

pytestmark = pytest.mark.unit
CASES = Path(__file__).parents[2] / "data" / "cases"
START = "Start of page {0}: a heron stood in the shallow water and waited for a fish while the tide went out."
END = "End of page {0}: by evening the mud flats were dry and the bird had flown back to its island."


def text(name: object) -> str:
    return f"{START}\n\n{END}".format(name)


def read_case(name: str, kind: InputFormat = InputFormat.WARC) -> Found:
    return read(CASES / name, kind=kind)


def check_silence(found: Found, texts: list[str], **skipped: int) -> None:
    assert (found.texts, found.rejected, found.skipped) == (texts, [], skipped)


def test_empty_member_in_mid_file_ends_nothing() -> None:
    check_silence(read_case("warc-bad-header-midfile/empty-member.warc.gz"), [text(1), text(3)], warcinfo=1)


def test_line_without_a_colon_costs_nothing() -> None:
    check_silence(read_case("warc-bad-header-midfile/no-colon.warc.gz"), [text(n) for n in (1, 2, 3)], warcinfo=1)


def test_record_without_a_length_is_one_row() -> None:
    found = read_case("warc-bad-header-midfile/no-length.warc.gz")
    assert found.texts == [text(1), text(3)]
    (rejected,) = found.rejected
    assert rejected.reason is ReasonCode.INVALID_RECORD
    assert (rejected.place.offset, rejected.place.length) == (633, 1043 - 633)


def test_chunked_claims() -> None:
    found = read_case("warc-chunked-untrue/chunked.warc.gz")
    check_silence(found, [text(name) for name in found.names])
    assert len(found.names) == 10


def test_encoding_claims() -> None:
    found = read_case("warc-encoding-untrue/encodings.warc.gz")
    assert len(found.names) == 18
    for name, shown in zip(found.names, found.texts, strict=True):
        if name == "gzip-cut-off":
            assert shown.startswith(START.format(name)) and len(shown) > 10_000
        else:
            assert shown == text(name)
    assert [(r.reason, r.doc_id) for r in found.rejected] == [
        (ReasonCode.CUT_OFF, found.documents[found.names.index("gzip-cut-off")].doc_id)
    ]


@pytest.mark.parametrize("file", ["minus1.warc", "minus1-gz.warc.gz"])
@pytest.mark.parametrize("off_by", [-1, 1])
def test_length_off_by_one(tmp_path: Path, file: str, off_by: int) -> None:
    content = (CASES / "warc-length-off-by-one" / file).read_bytes()
    if off_by > 0:
        unpacked = gzip.decompress(content) if file.endswith(".gz") else content
        parts = [b"WARC/1.0" + p.replace(b": 321", b": 323") for p in unpacked.split(b"WARC/1.0")[1:]]
        content = b"".join(map(gzip.compress, parts) if file.endswith(".gz") else parts)
    check_silence(read(tmp_path / file, content), [text(n) for n in (1, 2, 3)])


@pytest.mark.parametrize(("file", "n_info"), [("lf-http.warc.gz", 1), ("lf-no-info.warc", 0)])
def test_lf_headers(file: str, n_info: int) -> None:
    found = read_case(f"warc-lf-headers/{file}")
    check_silence(found, [text(n) for n in (1, 2, 3)], **({"warcinfo": n_info} if n_info else {}))
    assert all(d.metadata and d.metadata["WARC-TREC-ID"].startswith("made-up-en0000") for d in found.documents)


def test_lf_headers_of_wet() -> None:
    found = read_case("warc-lf-headers/lf.warc.wet", InputFormat.WET)
    check_silence(
        found,
        [f"Marsh birds, part {n}\nA heron stood in the shallow water and waited for a fish.\n" for n in (1, 2, 3)],
    )


@pytest.mark.parametrize("is_torn", [False, True])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_clueweb_with_a_warcinfo_without_a_length(tmp_path: Path, is_torn: bool, is_compressed: bool) -> None:
    pages = (CASES / "warc-lf-headers/lf-no-info.warc").read_bytes()
    if is_torn:
        pages = pages.replace(b"clueweb-quirks/", b"clueweb-\nquirks/")
    content = b"WARC/0.18\nWARC-Type: warcinfo\nWARC-Date: 2009-03-65\n\nsoftware: Nutch-like\n\n" + pages
    found = read(tmp_path / "a.warc.gz", gzip.compress(content) if is_compressed else content)
    check_silence(found, [text(n) for n in (1, 2, 3)], warcinfo=1)
    assert [d.url for d in found.documents] == [f"https://birds.example/02-warc-clueweb-quirks/{n}" for n in (1, 2, 3)]


def test_non_ascii_and_long_headers() -> None:
    found = read_case("warc-long-header/non-ascii.warc.gz")
    names = ["uri-utf8", "uri-latin1", "uri-blank", "uri-angle", "uri-long", "status-utf8", "status-latin1"]
    names += ["cookie-latin1", "extra-header-bytes", "header-twice"]
    check_silence(found, [text(name) for name in names])
    assert [d.url for d in found.documents[:4]] == [
        "https://birds.example/reiher/käthe?q=łódź",
        "https://birds.example/reiher/käthe",
        "https://birds.example/a page/with blanks",
        "https://birds.example/in-angle-brackets",
    ]
    assert len(found.documents[4].url or "") > 70_000
    last = found.documents[-1].metadata
    assert last is not None and last["WARC-Concurrent-To"] == "<urn:uuid:a>, <urn:uuid:b>"
    for document in found.documents:
        "".join([document.url or "", *(document.metadata or {}).values()]).encode("utf-8")


def test_loose_http_headers() -> None:
    found = read_case("warc-loose-http-headers/loose.warc.gz")
    # The last three have no type, or no head at all, but browsers show them as pages by how they begin.
    check_silence(found, [text(name) for name in found.names])
    assert len(found.names) == 19 and found.names[-3:] == ["no-type", "no-headers", "http09"]


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_file_of_one_member(tmp_path: Path, codec: str) -> None:
    found = read_case("warc-one-gzip-member/whole.warc.gz")
    if codec == "zstd":
        content = gzip.decompress((CASES / "warc-one-gzip-member/whole.warc.gz").read_bytes())
        found = read(tmp_path / "whole.warc.zst", zstandard.compress(content))
    check_silence(found, [text(n) for n in (1, 2, 3)], warcinfo=1)
    assert all((d.place.offset, d.place.length) == (None, None) for d in found.documents)


def test_resource_records() -> None:
    found = read_case("warc-resource-records/only-resources.warc.gz")
    rendered = (
        "Rendered text of the page: a heron stood in the water and waited for the fish to come back with the tide."
    )
    check_silence(
        found,
        [text("resource-html"), rendered, text("resource-http")],
        **{"warcinfo": 1, "application/json": 1, "revisit": 1},
    )
    site = "https://birds.example/11-warc-resource-records"
    assert [d.url for d in found.documents] == [f"{site}/site/index.html", f"urn:text:{site}/app", f"{site}/http"]


def test_zst_with_a_dictionary(tmp_path: Path) -> None:
    found = read_case("warc-zst/with-dictionary.warc.zst")
    check_silence(found, [text(n) for n in (1, 2, 3)], warcinfo=1)
    assert [(d.place.offset, d.place.length) for d in found.documents] == [(8327, 67), (8394, 64), (8458, 80)]
    content = (CASES / "warc-zst/with-dictionary.warc.zst").read_bytes()
    for n_bytes, n_documents in ((8_500, 2), (8_458, 2), (8_394, 1), (8_330, 0), (1_000, 0)):
        cut = read(tmp_path / "cut.warc.zst", content[:n_bytes])
        assert cut.texts == [text(n) for n in range(1, n_documents + 1)]
        # A cut between two frames is invisible.
        whole = n_bytes in (8_458, 8_394)
        assert [r.reason for r in cut.rejected] == ([] if whole else [ReasonCode.UNREADABLE_FILE])


def test_wet_header_variants() -> None:
    found = read_case("wet-header-variants/variants.warc.wet.gz", InputFormat.WET)
    by_text = {d.text.split("\n")[0]: d for d in found.documents}
    assert (len(found.documents), found.rejected, found.skipped) == (11, [], {"warcinfo": 1})
    site = "https://birds.example/13-wet-header-variants"
    no_uri, no_id = by_text["Marsh birds, part no-uri"], by_text["Marsh birds, part no-id"]
    assert no_uri.url is None and no_uri.doc_id == "4000e937-9b25-554d-83d9-6ffeeb1892ab"
    assert no_id.doc_id is None and no_id.url == f"{site}/no-id"
    reordered, lower = by_text["Marsh birds, part reordered"], by_text["Marsh birds, part lower-case"]
    assert reordered.metadata and reordered.metadata["WARC-Identified-Content-Language"] == "zho,eng"
    assert (lower.url, lower.doc_id) == (f"{site}/lower-case", "9738148f-42db-50ca-a5ce-790242bd47fc")
    assert lower.metadata and lower.metadata["WARC-Type"] == "conversion"
    by_name = dict(zip(found.names, found.texts, strict=True))
    assert by_name["empty"] == ""
    assert by_name["inner-warc"].startswith("First line") and by_name["inner-warc"].endswith("file formats.\n")
    assert "\r\nWARC/1.0\r\n" in by_name["inner-warc"]
    assert by_name["crlf"] == "One line.\r\nAnother line.\r\n"
    assert by_name["nul"] == "before\x00after the nul\n"
    # Two texts with one id are judged later, when all files are known.
    standard, dup = by_text["Marsh birds, part standard"], found.documents[found.names.index("dup")]
    assert standard.doc_id == dup.doc_id and standard.place.offset < dup.place.offset
