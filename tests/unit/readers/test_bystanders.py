from __future__ import annotations

import pytest

from prox_spark.readers.bystanders import PassedOver, describe_passed_over, explain_passed_over

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("why", "names"),
    [
        (
            "hidden",
            "_SUCCESS _metadata _common_metadata .DS_Store .gitattributes ._cut_group-0.jsonl .part-0.parquet.crc _x.jsonl",
        ),
        (
            "documentation",
            "README README.md readme.txt README.rst LICENSE LICENSE.txt LICENCE COPYING NOTICE CITATION.cff CHANGELOG.md x.md",
        ),
        (
            "about the data",
            "dataset_info.json dataset_infos.json dataset_dict.json state.json croissant.json MANIFEST manifest.json",
        ),
        (
            "unfinished",
            "a.jsonl.gz.incomplete a.parquet.tmp a.jsonl._COPYING_ a.warc.gz.open a.jsonl.part x.crdownload a.aria2",
        ),
        ("a backup or lock", "a.jsonl.lock a.jsonl~ a.jsonl.bak .a.jsonl.swp a.jsonl.orig"),
        ("checksums", "a.jsonl.gz.md5 a.sha256 SHA256SUMS CHECKSUMS checksums.txt md5sums.txt a.crc"),
        ("WAT, without text", "CC-MAIN-0.warc.wat.gz a.wat"),
        ("an index", "a.cdx a.cdx.gz a.cdxj warc.paths.gz wet.paths a.idx"),
        ("code, settings or a log", "c4.py convert.ipynb config.yaml wget.log requirements.txt Makefile"),
        ("an image", "logo.png a.JPG"),
        ("of the system", "Thumbs.db desktop.ini"),
        ("of the store", "a.jsonl.metadata part-0.jsonl_$folder$ item_meta.xml"),
    ],
)
def test_bystanders_are_told_by_their_names(why: str, names: str) -> None:
    # A leading dot or underscore is checked before everything else.
    assert {name: explain_passed_over(name) for name in names.split()} == {
        name: "hidden" if name[0] in "._" else why for name in names.split()
    }


@pytest.mark.parametrize(
    "name",
    [
        "a.jsonl",
        "a.jsonl.gz",
        "a.parquet",
        "a.warc.gz",
        "a.wet.gz",
        "a.json",
        "part-00000",
        "a.csv",
        "notes.txt",
        "data.bin",
        "readme.jsonl",
        "license.parquet",
        "state.jsonl",
        "licenses.jsonl.gz",
        "manifest.jsonl",
        "checksums.parquet",
        "index.json",
        "a.zip",
        "a.tar.gz",
        "noticeboard",
        "statements.json",
    ],
)
def test_what_may_be_data_is_no_bystander(name: str) -> None:
    assert explain_passed_over(name) is None


def test_what_was_passed_over_is_counted_and_named_in_a_line() -> None:
    items = [PassedOver(f"/d/{n}.md", "documentation") for n in range(7)] + [PassedOver("s3://b/.git/", "hidden")]
    line = describe_passed_over(items)
    assert line == (
        "8 files and folders passed over: 0.md, 1.md, 2.md, 3.md, 4.md and 2 more (documentation), .git/ (hidden)"
    )
    assert describe_passed_over(items[:1]) == "1 file passed over: 0.md (documentation)"
