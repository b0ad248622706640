"""Words are counted as defined, and the ranges behind the definition are those of Unicode."""

from __future__ import annotations

import time

import pytest
import regex

from prox_spark.programs.words import ATTACHED_SIGNS, UNSPACED_LETTERS, Ranges, count_words

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


def test_long_runs_of_signs_take_no_quadratic_time() -> None:
    started = time.perf_counter()
    assert count_words("我a" + "_" * 400_000 + "b" + "。" * 400_000) == 2
    assert time.perf_counter() - started < 5


# Scripts in which a blank before a letter does not mark the beginning of a word.
SCRIPTS = (
    *("Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Tangut", "Nushu", "Khitan_Small_Script"),
    *("Thai", "Lao", "Myanmar", "Khmer", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Ahom", "Tibetan"),
    *("Balinese", "Javanese", "Cham", "Batak", "Brahmi", "Grantha", "Tulu_Tigalari", "Dives_Akuru", "Makasar", "Kawi"),
    "Gurung_Khema",
)
OF_SCRIPTS = "".join(rf"\p{{Script={name}}}" for name in SCRIPTS)


def characters(ranges: Ranges) -> set[str]:
    return {chr(code) for first, last in ranges for code in range(first, last + 1)}


def matching(pattern: str) -> set[str]:
    every = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    return set(regex.findall(f"(?V1){pattern}", every))


def test_letters_that_are_words_are_those_of_scripts_whose_lines_break_without_blanks() -> None:
    breaks = "".join(rf"\p{{LineBreak={name}}}" for name in ("ID", "CJ", "SA", "AK", "AS", "AP"))
    wanted = matching(rf"[[{breaks}\p{{Script=Tibetan}}]&&[\p{{Lo}}\p{{Nl}}]--\p{{Script=Hangul}}]")
    found = characters(UNSPACED_LETTERS)
    assert wanted and not wanted - found
    radicals, marks_of_lines = matching(r"[\p{Script=Han}&&\p{So}]"), set("〆〼")
    letters_of_scripts = matching(rf"[[{OF_SCRIPTS}]&&[\p{{Lo}}\p{{Nl}}]]")
    assert found - matching(r"\p{Cn}") <= letters_of_scripts | radicals | marks_of_lines | wanted


def test_what_stands_beside_them_is_no_letter_of_another_script_no_digit_and_no_white_space() -> None:
    beside = characters(ATTACHED_SIGNS)
    assert not beside & characters(UNSPACED_LETTERS)
    assert not beside & matching(r"[\p{Nd}\s\x1c-\x1f]")
    modifiers = matching(rf"[\p{{Lm}}&&[{OF_SCRIPTS}\p{{Script=Common}}]]")
    assert beside & matching(r"\p{L}") <= modifiers


def test_marks_and_signs_of_these_scripts_and_common_punctuation_stand_beside_them() -> None:
    theirs = matching(rf"[[{OF_SCRIPTS}]--[\p{{L}}\p{{Nl}}\p{{Nd}}\p{{So}}]]")
    blocks = r"\x00-\xbf\u2000-\u206f\u2e00-\u303f\ufe10-\uffef"
    punctuation = matching(rf"[[{blocks}]&&\p{{P}}]")
    missing = (theirs | punctuation | matching(r"\p{Emoji_Presentation}")) - characters(ATTACHED_SIGNS)
    assert not missing, sorted(f"{ord(character):04X}" for character in missing)
