"""Writes the other files of this folder: a few rows in the layout of each corpus, with texts of ours.

`python tests/data/corpora/write.py` in the repository's root. Where a layout is from stands in conf/corpora.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

HERE = Path(__file__).parent
SHA1 = "sha1:VQW3KXUOALO543IJGTK2JLVEAN2XXKH"


def write(name: str, *rows: dict[str, Any]) -> None:
    """Writes rows under the name that says how they are stored."""
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(lines, mtime=0) if path.suffix == ".gz" else zstandard.compress(lines))


def page(n: int, host: str = "birds.example") -> dict[str, str]:
    """A text and its URL."""
    text = (
        f"Page {n} is about the garden birds of the north.\nIt counts them every winter, and prints the sums in spring."
    )
    return {"text": text, "url": f"https://{host}/{n}"}


def urn(n: int) -> str:
    """The id of a WARC record."""
    return f"<urn:uuid:00000000-0000-4000-8000-{n:012}>"


def c4() -> None:
    write("c4/en/c4-train.00000-of-01024.json.gz", *({**page(n), "timestamp": "2019-04-25T12:57:54Z"} for n in (1, 2)))
    swedish = {
        "text": "Talgoxen sjunger redan i februari.",
        "timestamp": "2020-02-19 11:27:11",
        "url": "https://faglar.example/3",
    }
    write("c4/multilingual/c4-sv.tfrecord-00000-of-01024.json.gz", swedish)


def ccnet_row(n: int, bucket: str | None = None) -> dict[str, Any]:
    text, url = page(n).values()
    row: dict[str, Any] = {
        "url": url,
        "date_download": "2023-01-26T21:25:04Z",
        "digest": f"{SHA1}{n}",
        "length": len(text),
        "nlines": 2,
        "source_domain": "birds.example",
        "title": f"Birds {n}",
        "raw_content": text,
        "original_nlines": 3,
        "original_length": len(text) + 9,
        "language": "en",
        "language_score": 0.98,
        "perplexity": 255.11,
    }
    return row | {"cc_segment": "crawl-data/x.wet.gz", "line_ids": [0, 1], "bucket": bucket} if bucket else row


def ccnet() -> None:
    write("ccnet/mined/2019-09/en_head_0000.json.gz", ccnet_row(1), ccnet_row(2))
    (HERE / "ccnet/mined/2019-09/en_head_0000.json.gz.index").write_bytes(b"\x93NUMPY\x01\x00")


def signals(shard: str, n: int) -> dict[str, Any]:
    place = f"{shard}.json.gz/{n}"
    return {
        "id": place,
        "id_int": int.from_bytes(hashlib.sha1(place.encode()).digest()[:8], "big"),
        "metadata": {"cc_segment": "crawl-data/x.wet.gz", "cc_net_source": f"{shard}.json.gz", "url": page(n)["url"]},
        "quality_signals": {
            "ccnet_perplexity": [[0, 104, 255.11]],
            "rps_lines_num_words": [[0, 49, 10], [49, 104, 11 + n]],
            "rps_doc_ut1_blacklist": [[0, 104, None]],
        },
    }


def redpajama_v2() -> None:
    shards = {"en_head": ("head", 3), "de_middle": ("middle", 1), "en_tail": ("tail", 1)}
    for shard, (bucket, n_rows) in shards.items():
        rows = (ccnet_row(n, bucket) for n in range(n_rows))
        write(f"redpajama-v2/documents/2023-06/0000/{shard}.json.gz", *rows)
    head = "2023-06/0000/en_head"
    # The signals of de_middle are missing, as those of some published shards are.
    write(f"redpajama-v2/quality_signals/{head}.signals.json.gz", *(signals(head, n) for n in range(3)))
    for shard, duplicates in (("en_head", [1]), ("de_middle", [])):
        place = f"2023-06/0000/{shard}"
        ids = [
            {"shard_id": f"{place}.json.gz", "doc_id": f"{place}.json.gz/{n}", "digest": SHA1[5:]} for n in duplicates
        ]
        path = HERE / f"redpajama-v2/duplicates/{place}.duplicates.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        schema = pa.schema([("shard_id", pa.string()), ("doc_id", pa.string()), ("digest", pa.string())])
        pq.write_table(pa.Table.from_pylist(ids, schema), path)
    minhash = [
        {"shard_id": f"{head}.json.gz", "id": f"{head}.json.gz/0", "id_int": 1, "signature_sim0.7": [b"\x00\x01"]}
    ]
    write(f"redpajama-v2/minhash/{head}.minhash.parquet", *minhash)


def fineweb_row(n: int, dump: str, **others: Any) -> dict[str, Any]:
    text, url = page(n).values()
    return {
        "text": text,
        "id": urn(n),
        "dump": dump,
        "url": url,
        "date": "2013-05-18T10:42:00Z",
        "file_path": f"s3://commoncrawl/crawl-data/{dump}/segments/1/warc/1.warc.gz",
        "language": "en",
        "language_score": 0.93,
        "token_count": 24,
    } | others


def fineweb() -> None:
    write("fineweb/data/CC-MAIN-2013-20/000_00000.parquet", *(fineweb_row(n, "CC-MAIN-2013-20") for n in (1, 2)))
    write("fineweb/data/CC-MAIN-2024-10/000_00000.parquet", fineweb_row(3, "CC-MAIN-2024-10"))


def fineweb_2() -> None:
    others = {
        "language": "swe",
        "language_script": "Latn",
        "minhash_cluster_size": 3,
        "top_langs": '{"swe_Latn_score": 1.0}',
    }
    row = {key: value for key, value in fineweb_row(1, "CC-MAIN-2023-50", **others).items() if key != "token_count"}
    write("fineweb-2/data/swe_Latn/train/000_00000.parquet", row)
    write("fineweb-2/data/swe_Latn_removed/train/000_00000.parquet", row | {"id": urn(9)})


def fineweb_edu() -> None:
    score = {"score": 3.14, "int_score": 3}
    old = {key: value for key, value in fineweb_row(1, "CC-MAIN-2013-20", **score).items() if key != "date"}
    write("fineweb-edu/data/CC-MAIN-2013-20/train-00000-of-00014.parquet", old)
    write("fineweb-edu/data/CC-MAIN-2025-05/000_00000.parquet", fineweb_row(2, "CC-MAIN-2025-05", **score))


def openwebmath() -> None:
    metadata = {
        "extraction_info": {"found_math": True, "katex": 2, "title": "Sums"},
        "config": {"markdown_headings": True},
    }
    row = {
        "url": "https://sums.example/1",
        "text": "The sum $1 + 2 + \\dots + n$ is $n(n + 1) / 2$.",
        "date": "2013-05-18 10:42:00",
        "metadata": json.dumps(metadata),
    }
    write(
        "openwebmath/data/train-00000-of-00114-1a2b3c4d5e6f7a8b.parquet", row, row | {"url": "https://sums.example/2"}
    )


def dclm_baseline() -> None:
    def row(n: int) -> dict[str, Any]:
        text, url = page(n).values()
        return {
            "bff_contained_ngram_count_before_dedupe": 20,
            "language_id_whole_page_fasttext": {"en": 0.938},
            "metadata": {
                "Content-Length": "61769",
                "WARC-Date": "2014-03-13T14:49:13Z",
                "WARC-Record-ID": urn(n),
                "WARC-Target-URI": url,
                "WARC-Type": "response",
            },
            "previous_word_count": 21,
            "text": text,
            "url": url,
            "warcinfo": "robots: classic\r\nisPartOf: CC-MAIN-2014-10",
            "fasttext_openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train_prob": 0.0855,
        }

    folder = "dclm-baseline/global-shard_01_of_10/local-shard_0_of_10"
    write(f"{folder}/shard_00000000_processed.jsonl.zst", row(1), row(2))
    # As files were called before July 2024.
    write(f"{folder}/shard_00000001_processed.jsonl.zstd", row(3))


def dolma() -> None:
    def row(n: int, id_: str, source: str, metadata: dict[str, Any]) -> dict[str, Any]:
        added = {"added": "2024-04-10T21:04:02", "created": "2019-01-01T00:00:00"}
        return {"id": id_, "text": page(n)["text"], "source": source, **added, "metadata": metadata}

    # One id for two texts, as in StarCoder.
    code = (row(n, "8fddd353", "starcoder", {"ext": "py", "max_forks_repo_licenses": ["MIT"]}) for n in (1, 2))
    write("dolma/dolma-v1_7/starcoder/starcoder-0000.json.gz", *code)
    write("dolma/dolma-v1_7/c4-filtered/c4-0000.json.gz", row(3, "en.0.1", "c4", {"url": page(3)["url"]}))
    # What the toolkit makes: documents, and the attributes of two taggers.
    name = "2019-09/0933_en_all.jsonl.gz"
    write(f"dolma/wiki/documents/{name}", *(row(n, str(n), "wiki", {"url": page(n)["url"]}) for n in (4, 5)))
    spans = {4: [[0, 49, 0.9]], 5: []}
    for tagger, key in (
        ("toxicity-0", "exp__jigsaw__toxic"),
        ("paragraph_duplicates", "bff_duplicate_paragraph_spans"),
    ):
        rows = ({"id": str(n), "source": "wiki", "attributes": {key: found}} for n, found in spans.items())
        write(f"dolma/wiki/attributes/{tagger}/{name}", *rows)


def nemotron_cc() -> None:
    real = {**page(1), "language": "eng", "warc_record_id": urn(1)}
    made = [
        {**page(1), "text": text, "language": "eng", "warc_record_id": urn(1)}
        for text in ("Birds are counted.", "Who counts birds?")
    ]
    write("nemotron-cc/quality=high/kind=actual/kind2=actual/CC-MAIN-2013-20-part-00000.jsonl.zstd", real)
    write("nemotron-cc/quality=high/kind=synthetic/kind2=diverse_qa_pairs/CC-MAIN-2013-20-part-00000.jsonl.zstd", *made)


def hplt() -> None:
    def row(n: int, **others: Any) -> dict[str, Any]:
        text, url = page(n).values()
        warc = {"f": "./warc/1.warc.gz", "o": 578687, "s": 9202, "rs": 102649, "u": url, "c": "text/html"}
        lang = {
            "lang": ["eng_Latn", "fra_Latn"],
            "prob": [0.97, 0.01],
            "text": text,
            "seg_langs": ["eng_Latn", "eng_Latn"],
        }
        made = {"id": hashlib.md5(url.encode()).hexdigest(), "filter": "keep", "doc_scores": [10, 9.4]}
        return {**warc, "ts": "2021-05-09T10:26:25Z", **lang, **made, **others}

    registers = {"NA": 0.736, "IN": 0.307}
    write("hplt/eng_Latn/1.jsonl.zst", row(1, collection="wide17", robotstxt="allowed", pii=[]))
    new = {"crawl_id": "CC-MAIN-2017-26", "de": "utf-8", "html_lang": ["en"], "cluster_size": 8, "pii": [[23, 34]]}
    write("hplt/eng_Latn/10_1.jsonl.zst", row(2, **new, **{"web-register": registers}))
    (HERE / "hplt/eng_Latn.map").write_text("https://data.hplt-project.org/three/sorted/eng_Latn/10_1.jsonl.zst\n")


def common_pile() -> None:
    def thread(n: int, site: str) -> dict[str, Any]:
        licence = "Creative Commons - Attribution Share-Alike - https://creativecommons.org/licenses/by-sa/4.0/"
        metadata = {"license": licence, "provenance": f"stackexchange-dolma-0000.json.gz:{n}", "site": site}
        dates = {"added": "2025-03-21T12:54:35", "created": "2017-03-19T18:24:14"}
        url = {"url": f"https://{site}/questions/219"}
        return {
            "id": "219",
            "text": page(n)["text"],
            "source": "Stack Exchange",
            **dates,
            "metadata": {**metadata, **url},
        }

    # Question 219 of two sites.
    threads = (thread(1, "birds.example"), thread(2, "gardens.example"))
    write("common-pile/stackexchange_filtered/stackexchange-dolma-0000.json.gz", *threads)
    case = {
        "id": "f2d_474/html/0001-01.html",
        "source": "Caselaw Access Project",
        "added": "2024-08-24T03:29:51",
        "created": "2024-08-24T03:29:51",
        "metadata": {"author": "PER CURIAM:", "license": "Public Domain", "url": "https://static.case.law/"},
        "text": "The owner of the garden is the owner of the nests in it, and the birds belong to nobody.",
    }
    write("common-pile/caselaw_access_project/cap_00000.jsonl.gz", case)


if __name__ == "__main__":
    for make in (c4, ccnet, common_pile, dclm_baseline, dolma, fineweb, fineweb_2, fineweb_edu, hplt, nemotron_cc):
        make()
    openwebmath()
    redpajama_v2()
