"""What counts as a word, and that the ranges behind it are Unicode's."""

from __future__ import annotations

import pytest

from prox_spark.programs.words import count_words

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "n_words"),
    [
        ("", 0),
        (" \n\u3000\x85", 0),
        ("two words", 2),
        ("naïve “quotes” — dash", 4),
        ("왜가리는 얕은 물에 서서", 4),
        ("苍鹭站在浅水里", 7),
        ("苍鹭,站。「在」", 4),
        ("iPhone手机。", 3),
        ("我2024年", 3),
        ("首页 | 新闻", 5),
        ("。", 1),
        ("我 。", 2),
        ("abc。我", 2),
        ("𠀀𠀁", 2),
        ("我😀", 1),
        ("ｱｵｻｷﾞ", 4),
        ("コーヒー", 2),
        ("น้ำตื้น", 4),
        ("ទឹករាក់", 4),
        ("ນ້ຳຕື້ນ", 4),
        ("ရေတိမ်", 3),
    ],
)
def test_a_letter_is_a_word_where_a_script_has_no_blanks(text: str, n_words: int) -> None:
    assert count_words(text) == n_words
