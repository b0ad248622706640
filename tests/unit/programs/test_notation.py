"""Grammars as data print to EBNF, and to patterns of the same language."""

import re

import pytest
from program_pattern import to_regex

from prox_spark.programs.notation import (
    CharClass,
    Choice,
    Expression,
    Literal,
    Repeat,
    Rule,
    Sequence,
    make_sequence,
    to_ebnf,
)

pytestmark = pytest.mark.unit

A, B = Literal("a"), Literal("b")
DIGIT = CharClass((("0", "9"),))


@pytest.mark.parametrize(
    ("expression", "ebnf", "inside", "outside"),
    [
        (Literal('a"b\\\n'), r'"a\"b\\\n"', ['a"b\\\n'], ["ab", 'a"b\\']),
        (DIGIT, "[0-9]", ["0", "5", "9"], ["", "a", "55", "٣"]),
        (CharClass.none_of("]^-\\\n"), r"[^\]\^\-\\\n]", ["a", "é", "\r"], ["]", "^", "-", "\\", "\n", "ab"]),
        (Sequence((A, B)), '"a" "b"', ["ab"], ["a", "b", "ba"]),
        (Choice((A, Sequence((A, B)))), '"a" | "a" "b"', ["a", "ab"], ["b", "aab"]),
        (Sequence((Choice((A, B)), A)), '("a" | "b") "a"', ["aa", "ba"], ["a", "ab"]),
        (Repeat(A, 0, 1), '"a"?', ["", "a"], ["aa"]),
        (Repeat(A, 0, None), '"a"*', ["", "aaa"], ["b"]),
        (Repeat(A, 1, None), '"a"+', ["a", "aaa"], [""]),
        (Repeat(A, 2, 3), '"a" "a" "a"?', ["aa", "aaa"], ["a", "aaaa"]),
        (Repeat(A, 2, None), '"a" "a"+', ["aa", "aaaa"], ["a"]),
        (Repeat(Literal("ab"), 1, None), '"ab"+', ["ab", "abab"], ["abb"]),
        (Repeat(Sequence((A, B)), 1, None), '("a" "b")+', ["abab"], ["abb"]),
        (Repeat(Choice((A, B)), 1, None), '("a" | "b")+', ["abba"], [""]),
        (Repeat(Repeat(A, 2, 2), 0, 1), '("a" "a")?', ["", "aa"], ["a"]),
        (Repeat(Rule("a", A), 0, None), "a*", ["", "aa"], ["b"]),
    ],
)
def test_an_expression_prints_and_recognises_its_language(
    expression: Expression, ebnf: str, inside: list[str], outside: list[str]
) -> None:
    assert to_ebnf(Rule("root", expression)).split("\n")[0] == f"root ::= {ebnf}"
    pattern = re.compile(to_regex(expression))
    assert [text for text in inside if not pattern.fullmatch(text)] == []
    assert [text for text in outside if pattern.fullmatch(text)] == []


def test_neighbouring_texts_of_a_sequence_are_one_literal() -> None:
    assert make_sequence("a", "b", DIGIT, "c", "d") == Sequence((Literal("ab"), DIGIT, Literal("cd")))
    assert make_sequence("a", "b") == Literal("ab")
    assert make_sequence(DIGIT) == DIGIT


def test_each_rule_is_printed_once_before_those_that_it_mentions() -> None:
    leaf = Rule("leaf", A)
    left, right = Rule("left", Sequence((leaf, B))), Rule("right", Repeat(leaf, 0, None))
    assert to_ebnf(Rule("root", Choice((left, right)))) == (
        'root ::= left | right\nleft ::= leaf "b"\nright ::= leaf*\nleaf ::= "a"'
    )
