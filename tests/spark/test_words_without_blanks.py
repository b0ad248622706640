"""Case words-without-blanks: the gates count what a reader of the script does, and a lake from before they did is no trap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_answers import chunk, outcomes_of, run, verdict
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.programs import execute
from prox_spark.programs.words import count_words

pytestmark = pytest.mark.spark

CASE = Path(__file__).parents[1] / "data" / "cases" / "words-without-blanks" / "scripts.jsonl"
TEXTS = {row["id"]: row["text"] for row in map(json.loads, CASE.read_text(encoding="utf-8").splitlines())}
VARIANTS = {
    "khmer": "កុកឈរនៅក្នុងទឹករាក់ហើយរង់ចាំត្រីដោយស្ងៀមស្ងាត់។",
    "lao": "ນົກຍາງຢືນຢູ່ໃນນ້ຳຕື້ນແລະລໍຖ້າປາຢ່າງງຽບໆ",
    "burmese": "ဗျိုင်းသည်ရေတိမ်ထဲတွင်ရပ်၍ငါးကိုတိတ်တဆိတ်စောင့်နေသည်။",
    "tibetan": "ཆུ་སྐྱར་དེ་ཆུ་གཏིང་རིང་པོ་མེད་སར་ལངས་ནས་ཉ་ལ་སྒུག་གི་འདུག།",
    "javanese": "ꦏꦸꦤ꧀ꦠꦸꦭ꧀ꦔꦣꦼꦒ꧀ꦲꦶꦁꦧꦚꦸꦕꦼꦛꦺꦏ꧀ꦔꦼꦤ꧀ꦠꦺꦤꦶꦲꦶꦮꦏ꧀",
    "chinese with english": "用iPhone手机拍的苍鹭照片，ISO值是100，真漂亮。",
    "full-width punctuation": "「苍鹭」（水鸟）：站在浅水里；不动。「等着」！",
    "half-width katakana": "ｱｵｻｷﾞﾊｱｻｾﾆﾀｯﾃ､ｼﾞｯﾄｻｶﾅｦﾏｯﾃｲﾀ｡",
    "extension b": "𠀀𠀁𠀂𠀃𠀄𠀅𠀆𠀇𠀈𠀉𠀊𠀋",
    "radicals of a pdf": "⼈⼭⽔⽕⽊⾦⼟⽇⽉⽯⽥⼼",
}
# Words as the gates of `strict` count them; en and ko have as many as `str.split()` finds.
N_WORDS = {"zh": 272, "ja": 319, "th": 440, "en": 115, "ko": 45}


@pytest.fixture(scope="module")
def kept(spark: Any) -> dict[str, dict[str, Any]]:
    return run(spark, {name: (text, [verdict(), keep(text)]) for name, text in (TEXTS | VARIANTS).items()})


def keep(text: str, program: str = "keep_chunk()") -> dict[str, Any]:
    return chunk(0, program, 0, text.count("\n"))


@pytest.mark.parametrize("name", [*TEXTS, *VARIANTS])
def test_a_text_is_not_blanked_because_its_script_has_no_blanks(kept: dict[str, dict[str, Any]], name: str) -> None:
    text = (TEXTS | VARIANTS)[name]
    row = kept[name]
    assert (row["status"], row["text"]) == ("kept_unchanged", text)
    assert row["words_before"] == row["words_after"] == count_words(text) == N_WORDS.get(name, count_words(text))


@pytest.mark.parametrize("name", ["en", "ko"])
def test_a_script_with_blanks_has_the_words_between_them(kept: dict[str, dict[str, Any]], name: str) -> None:
    assert kept[name]["words_before"] == len(TEXTS[name].split())


def test_what_a_program_leaves_is_held_against_the_same_count(spark: Any) -> None:
    short = "苍鹭站在浅水里等着鱼\n一动不动地。"
    programs = {
        "edited": (TEXTS["zh"], "remove_lines(0, 1)"),
        "blanked_ratio": (TEXTS["zh"], "remove_lines(0, 3)"),
        "blanked_short": (short, "remove_lines(0, 0)"),
    }
    found = run(spark, {name: (text, [verdict(), keep(text, program)]) for name, (text, program) in programs.items()})
    assert {name: row["status"] for name, row in found.items()} == {name: name for name in programs}
    for name, (text, program) in programs.items():
        done = execute(text, program)
        assert (found[name]["text"], found[name]["words_after"]) == (done.text, done.words_after)


def test_no_gate_blanks_where_none_is_set(spark: Any) -> None:
    texts = TEXTS | {"one letter": "鹭", "one sign": "。"}
    found = run(spark, {name: (text, [verdict(), keep(text)]) for name, text in texts.items()}, min_words=0)
    assert {row["status"] for row in found.values()} == {"kept_unchanged"}


def test_the_reference_goes_by_white_space_alone(spark: Any) -> None:
    cases = {name: (text, [verdict(), keep(text)]) for name, text in TEXTS.items()}
    found = run(spark, cases, semantics="reference")
    assert {name: row["words_before"] for name, row in found.items()} == {
        name: len(text.split()) for name, text in TEXTS.items()
    }
    statuses = {name: row["status"] for name, row in found.items()}
    assert statuses == {"zh": "kept_unchanged", "en": "kept_unchanged", "ko": "kept_unchanged"} | {
        "ja": "blanked_short",
        "th": "blanked_short",
    }


def n_words_column(comment: str | None) -> T.StructField:
    return T.StructField("n_words", T.LongType(), True, {"comment": comment} if comment else {})


OURS = schemas.DOCUMENTS.schema["n_words"].metadata["comment"]


@pytest.mark.parametrize("semantics", ["strict", "reference"])
@pytest.mark.parametrize("comment", [OURS, schemas.N_WORDS_BY_WHITE_SPACE, None])
def test_words_of_a_lake_are_taken_from_it_where_they_are_counted_alike(
    spark: Any, comment: str | None, semantics: str
) -> None:
    def stored(text: str) -> int:
        if comment is None:
            return 7  # a column of the input by this name
        return count_words(text) if comment == OURS else len(text.split())

    fields = [schemas.DOCUMENTS.schema[name] for name in ("doc_id", "content_sha256", "text")]
    rows = [(name, "sha", text, stored(text)) for name, text in TEXTS.items()] + [("null", "sha", TEXTS["zh"], None)]
    documents = spark.createDataFrame(rows, T.StructType([*fields, n_words_column(comment)]))
    answers = {row[0]: [verdict(), keep(row[2])] for row in rows}
    found = outcomes_of(spark, documents, answers, semantics=semantics, min_words=0)
    count = count_words if semantics == "strict" else lambda text: len(text.split())
    assert {name: row["words_before"] for name, row in found.items()} == {row[0]: count(row[2]) for row in rows}
    assert all(row["words_after"] in (0, row["words_before"]) for row in found.values())


def test_a_stored_count_is_used(spark: Any) -> None:
    fields = [schemas.DOCUMENTS.schema[name] for name in ("doc_id", "content_sha256", "text", "n_words")]
    documents = spark.createDataFrame([("zh", "sha", TEXTS["zh"], 1_000)], T.StructType(fields))
    found = outcomes_of(spark, documents, {"zh": [verdict(), keep(TEXTS["zh"])]})
    assert found["zh"]["words_before"] == 1_000
