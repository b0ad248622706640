"""Induction of programs from pairs of texts: expressed changes, small programs, and reported leftovers."""

from __future__ import annotations

import gzip
import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prox_spark.programs import (
    DocumentStatus,
    Gates,
    Induction,
    LeftoverKind,
    Operation,
    OpName,
    Program,
    execute,
    induce,
    parse,
    print_program,
)

pytestmark = pytest.mark.unit

NO_GATES = Gates(min_word_ratio=-1.0, min_words=-1, max_errors=1_000_000)
# With such a leftover the result still has the words of the clean text; only the lines differ.
WHITE_SPACE_KINDS = {LeftoverKind.MERGED_LINES, LeftoverKind.SPLIT_LINE}
PAGE = "Menu\nHome | About\n\nThe first paragraph.\n\nShare this\nThe second paragraph.\n\nCopyright"


def program(raw: str, clean: str) -> str:
    return str(induce(raw, clean).program)


def kinds(induction: Induction) -> list[str]:
    return [leftover.kind.value for leftover in induction.leftovers]


def lines(*numbers: int) -> str:
    return "\n".join(
        f"remove_lines(line_start={a}, line_end={b})" for a, b in zip(numbers[::2], numbers[1::2], strict=True)
    )


def swap(source: str, target: str) -> str:
    return str(Operation(OpName.NORMALIZE, source_str=source, target_str=target))


# Dropped lines


@pytest.mark.parametrize(
    ("raw", "clean", "expected"),
    [
        ("a\nb", "a\nb", "keep_chunk()"),
        ("a\nb\nc\nd", "a\nd", lines(1, 2)),
        ("a\nb\nc\nd", "b\nd", lines(0, 0, 2, 2)),
        ("a\nb\nc\nd", "c", lines(0, 1, 3, 3)),
        (PAGE, "The first paragraph.\n\nThe second paragraph.", lines(0, 2, 5, 5, 7, 8)),
        ("x\na\n\nb\nc", "a\n\nc", lines(0, 0, 3, 3)),
    ],
)
def test_dropped_lines_are_ranges_of_lines(raw: str, clean: str, expected: str) -> None:
    found = induce(raw, clean)
    assert str(found.program) == expected
    assert found.exact and found.exact_but_white_space and not found.leftovers


def test_blocks_with_empty_lines_between_are_one_range() -> None:
    assert program("a\nx\n\n \ny\nb", "a\nb") == lines(1, 4)


@pytest.mark.parametrize(
    ("clean", "expected"), [("a\nb", lines(1, 4)), ("a\n\nb", lines(2, 4)), ("a\n\n\nb", lines(2, 3))]
)
def test_as_many_empty_lines_stay_as_the_clean_text_has(clean: str, expected: str) -> None:
    found = induce("a\n\nx\ny\n\nb", clean)
    assert str(found.program) == expected
    assert found.exact


def test_empty_lines_alone_are_not_worth_an_operation() -> None:
    found = induce("a\n\n\nb\n", "a\nb")
    assert str(found.program) == "keep_chunk()"
    assert (found.exact, found.exact_but_white_space, found.leftovers) == (False, True, ())


def test_repeated_lines_are_removed_in_one_piece() -> None:
    assert program("a\nb\nx\na\nb\nc", "a\nb\nc") in (lines(0, 2), lines(2, 4))


def test_of_equal_lines_those_next_to_other_removed_ones_are_removed() -> None:
    assert program("Reply\nA comment\nReply\nThe end", "Reply\nThe end") in (lines(0, 1), lines(1, 2))


@pytest.mark.parametrize("clean", ["", " \n\n"])
def test_a_clean_text_without_words_removes_every_line(clean: str) -> None:
    found = induce("a\n\nb", clean)
    assert str(found.program) == lines(0, 2)
    assert (found.text, found.exact_but_white_space) == ("", True)


@pytest.mark.parametrize("raw", ["", " ", "\n\n"])
def test_a_raw_text_without_words_needs_no_edit(raw: str) -> None:
    assert program(raw, "") == "keep_chunk()"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [("a  b\nc", "a b\nc"), ("  a\nb \n", "a\nb"), ("a\r\nb\r\n", "a\nb\n"), ("a\u00a0b", "a b"), ("a\tb", "a b")],
)
def test_lines_match_whatever_their_white_space(raw: str, clean: str) -> None:
    found = induce(raw, clean)
    assert str(found.program) == "keep_chunk()"
    assert (found.exact, found.exact_but_white_space) == (False, True)


# Changes within lines


@pytest.mark.parametrize(
    ("raw", "clean", "expected"),
    [
        ("Good text here [edit]", "Good text here", swap(" [edit]", "")),
        ("Advert: good text here", "good text here", swap("Advert: ", "")),
        ("one two two three four five six", "one two three four five six", swap("two two ", "two ")),
        ("It costs 5 &euro; a day now", "It costs 5 € a day now", swap("&euro;", "€")),
        ("the qiuck brown fox jumps", "the quick brown fox jumps", swap("qiuck", "quick")),
        ("well-known and built-in parts of it", "well‑known and built-in parts of it", swap("well-", "well‑")),
        ("foo.Bar and more of it", "foo. Bar and more of it", swap("Bar", " Bar")),
        ("see http://a.org/x?id=12 for more", "see http://a.org/ for more", swap("x?id=12", "")),
    ],
)
def test_a_change_within_a_line_is_a_short_normalize(raw: str, clean: str, expected: str) -> None:
    found = induce(raw, clean)
    assert str(found.program) == expected
    assert found.exact and not found.leftovers


def test_the_same_change_in_many_lines_is_one_operation() -> None:
    raw = "First part of it [edit]\nSecond part of it [edit]\nThird part of it [edit]"
    assert program(raw, raw.replace(" [edit]", "")) == swap(" [edit]", "")


def test_a_change_that_stands_elsewhere_too_takes_words_around_it() -> None:
    raw = "the old house by the lake\nthe old man and the sea"
    found = induce(raw, "the new house by the lake\nthe old man and the sea")
    assert str(found.program) == swap("old house", "new house")
    assert found.exact


def test_a_single_character_takes_a_neighbour_where_that_repairs_all() -> None:
    raw = "it''s here\nthat''s there\nwhat''s where"
    assert induce(raw, raw.replace("''", "'")).exact
    assert program("it`s here\nthat`s there", "it's here\nthat's there") == swap("`s", "'s")


def test_a_single_character_becomes_whole_words_elsewhere() -> None:
    assert program("a dog, that is it; fine by me", "a dog, that is it, fine by me") == swap("it;", "it,")


def test_a_line_is_cut_out_of_by_its_white_space_where_nothing_else_tells_it_apart() -> None:
    found = induce("call()\n    call()\nx call()", "call()\n    call;\nx call()")
    assert str(found.program) == swap("    call()", "    call;")
    assert found.exact


def test_changes_are_found_between_removed_lines() -> None:
    raw = "Menu\nGood text with a tyop in it\nShare\nMore good text [1]\nFooter"
    found = induce(raw, "Good text with a typo in it\nMore good text")
    assert str(found.program) == "\n".join([lines(0, 0, 2, 2, 4, 4), swap("tyop", "typo"), swap(" [1]", "")])
    assert found.exact


def test_text_without_spaces_is_compared_character_by_character() -> None:
    found = induce("今天天气很好。点击这里。我们去公园吧。", "今天天气很好。我们去公园吧。")
    assert str(found.program) in (swap("点击这里。", ""), swap("。点击这里", ""))
    assert found.exact


def test_quotes_backslashes_and_carriage_returns_survive_printing() -> None:
    raw = 'He said \\"now\\" to her\rand left then\nsame here'
    found = induce(raw, 'He said "now" to her\rand left then\nsame here')
    assert found.exact
    assert parse(str(found.program)) == found.program


# Leftovers


@pytest.mark.parametrize(
    ("raw", "clean", "kind", "raw_range", "clean_range"),
    [
        ("one two\nthree four", "one two three four", "merged_lines", (0, 1), (0, 0)),
        ("one two three four", "one two\nthree four", "split_line", (0, 0), (0, 1)),
        ("a b c\nd e f", "a b c\nnew words\nd e f", "inserted_lines", (None, None), (1, 1)),
        ("a b\nc d\ne f\ng h", "e f\na b\nc d\ng h", "moved_lines", (2, 2), (0, 0)),
        ("a b c\nd e f\ng h i", "a b c\nquite another text\ng h i", "rewritten_lines", (1, 1), (1, 1)),
        ("same line\nother\nsame line", "same line\nother\nsame lime", "unsafe_change", (2, 2), (2, 2)),
        ("x\nlong line", "y\nlong line", "rewritten_lines", (0, 0), (0, 0)),
        ("今" * 60 + "\n" + "天" * 60, "今" * 60 + "天" * 60, "glued_lines", (0, 1), (0, 0)),
    ],
)
def test_what_a_program_cannot_express_is_named_with_its_lines(
    raw: str,
    clean: str,
    kind: str,
    raw_range: tuple[int | None, int | None],
    clean_range: tuple[int | None, int | None],
) -> None:
    found = induce(raw, clean)
    leftover = next(leftover for leftover in found.leftovers if leftover.kind == kind)
    assert (leftover.raw_start, leftover.raw_end) == raw_range
    assert (leftover.clean_start, leftover.clean_end) == clean_range
    assert leftover.detail and not found.exact
    assert found.exact_but_white_space == (leftover.kind in WHITE_SPACE_KINDS)


def test_merged_and_split_lines_are_edited_all_the_same() -> None:
    raw = "Menu\nThe first half of the\nsentence [1] is here. And more\nFooter"
    found = induce(raw, "The first half of the sentence is here.\nAnd more")
    assert str(found.program) == "\n".join([lines(0, 0, 3, 3), swap("[1] ", "")])
    assert kinds(found) == ["merged_lines", "split_line"]
    assert found.exact_but_white_space and not found.exact


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("this is a well-\nknown thing", "this is a well-known thing"),
        ("this is an exam-\nple of it", "this is an example of it"),
        ("see http://a.org/\nb.html for it", "see http://a.org/b.html for it"),
        ("the end is near-\nby\nreally", "the end is near-by\nreally"),
    ],
)
def test_words_cut_by_a_line_break_are_joined(raw: str, clean: str) -> None:
    found = induce(raw, clean)
    assert found.exact_but_white_space
    assert len(found.program.ops) == 2


def test_a_change_over_a_limit_on_growth_is_reported() -> None:
    found = induce("a b c d", "a b " + "word " * 2_000 + "c d")
    assert not found.exact_but_white_space and found.leftovers


def test_more_operations_than_the_parser_reads_are_reported() -> None:
    raw = "\n".join(f"line {n}" for n in range(2_500))
    found = induce(raw, "\n".join(f"line {n}" for n in range(0, 2_500, 2)))
    assert len(found.program.ops) == 1_000
    assert kinds(found) == ["too_many_changes"] and not found.exact_but_white_space


def test_every_kind_has_a_meaning() -> None:
    assert all(kind.meaning.endswith(".") and kind == kind.value for kind in LeftoverKind)


# Properties of every pair

WORDS = st.sampled_from(["the", "a", "cat", "Menu", "[edit]", "it's", "e-mail", "x", "|", "今天"])
LINES = st.lists(WORDS, max_size=6).map(" ".join)
DOCUMENTS = st.lists(LINES, min_size=1, max_size=12).map("\n".join)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
MIXED = st.lists(st.sampled_from(["a", "b", " ", "\n", ".", "\r", "ab", "\u2028", '"', "\\"]), max_size=40).map("".join)


def check(raw: str, clean: str) -> Induction:
    """Check that the flags are right and that every difference is reported."""
    found = induce(raw, clean)
    done = execute(raw, print_program(found.program), gates=NO_GATES)
    assert found.text == done.text
    assert found.exact == (done.text == clean)
    assert found.exact_but_white_space == (done.text.split() == clean.split())
    assert not done.diagnostics
    if not found.exact_but_white_space:
        assert any(leftover.kind not in WHITE_SPACE_KINDS for leftover in found.leftovers)
    return found


@given(ANY_TEXT | MIXED | DOCUMENTS, ANY_TEXT | MIXED | DOCUMENTS)
def test_no_pair_raises_and_no_flag_is_wrong(raw: str, clean: str) -> None:
    check(raw, clean)


@given(DOCUMENTS | MIXED)
def test_a_text_and_itself_need_nothing(text: str) -> None:
    found = check(text, text)
    assert found.program == Program((Operation(OpName.KEEP_CHUNK),)) and found.leftovers == ()


@given(DOCUMENTS, st.lists(st.tuples(st.integers(0, 11), st.integers(0, 4)), max_size=5))
def test_removed_lines_are_found_again(raw: str, ranges: list[tuple[int, int]]) -> None:
    n_lines = raw.count("\n") + 1
    ops = [Operation(OpName.REMOVE_LINES, start, start + more) for start, more in ranges if start + more < n_lines]
    found = check(raw, execute(raw, Program(tuple(ops)), gates=NO_GATES).text)
    assert found.exact_but_white_space and found.leftovers == ()
    assert all(op.op in (OpName.REMOVE_LINES, OpName.KEEP_CHUNK) for op in found.program.ops)


@given(
    DOCUMENTS,
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 4)), max_size=3),
    st.lists(st.tuples(st.sampled_from(["the", "[edit]", "it's", "cat", "e-mail", " the", "Menu"]), LINES), max_size=3),
)
def test_programs_of_both_operations_are_answered_truly(
    raw: str, ranges: list[tuple[int, int]], swaps: list[tuple[str, str]]
) -> None:
    ops = [Operation(OpName.REMOVE_LINES, start, start + more) for start, more in ranges]
    ops += [Operation(OpName.NORMALIZE, source_str=source, target_str=target) for source, target in swaps]
    done = execute(raw, Program(tuple(ops)), gates=NO_GATES)
    assert done.status is not DocumentStatus.DROPPED_DOC
    check(raw, done.text)


SENTENCE = "words {n} of a sentence that no other line has, number {n}."


@settings(deadline=None)
@given(st.sets(st.integers(0, 59), max_size=40), st.sets(st.integers(0, 59), max_size=20))
def test_lines_and_strings_removed_from_distinct_lines_are_found_again_exactly(
    removed: set[int], edited: set[int]
) -> None:
    plain = [SENTENCE.format(n=n) for n in range(60)]
    raw = [f"{line} [edit{n}]" if n in edited else line for n, line in enumerate(plain)]
    found = check("\n".join(raw), "\n".join(line for n, line in enumerate(plain) if n not in removed))
    assert found.exact and found.leftovers == ()
    n_blocks = sum(n in removed and n - 1 not in removed for n in range(60))
    assert len(found.program.ops) <= max(n_blocks + len(edited - removed), 1)


# Time


def _random_lines(n_lines: int, n_words: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(f"w{rng.randrange(n_words)}" for _ in range(12)) for _ in range(n_lines)]


BIG = _random_lines(10_000, 5_000, 0)
LONG_LINE = " ".join(BIG[:3_000])


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (BIG, [line for n, line in enumerate(BIG) if n % 40]),
        (BIG, [line.replace("w1", "x1", 1) if n % 50 == 0 else line for n, line in enumerate(BIG)]),
        (BIG, list(reversed(BIG))),
        (BIG, _random_lines(10_000, 5_000, 1)),
        (["a b"] * 10_000, ["a b"] * 5_000),
        (["a b", "c d"] * 10_000, ["c d", "a b", "a b"] * 6_000),
        (_random_lines(20_000, 2, 2), _random_lines(20_000, 2, 3)),
        ([LONG_LINE], [LONG_LINE.replace("w17 ", "")]),
        ([LONG_LINE], [" ".join(word for n, word in enumerate(LONG_LINE.split()) if n % 3)]),
        (["a" * 300_000], ["a" * 200_000 + "b"]),
        (["." * 200_000], ["." * 100_000 + "!" + "." * 90_000]),
    ],
    ids=[
        "lines dropped",
        "words changed",
        "reversed",
        "nothing in common",
        "one line over and over",
        "two lines in turn",
        "few distinct words",
        "a long line, one word dropped",
        "a long line, every third word dropped",
        "a long word",
        "one mark over and over",
    ],
)
def test_time_is_bounded_on_large_and_hostile_pairs(raw: list[str], clean: list[str]) -> None:
    started = time.monotonic()
    induce("\n".join(raw), "\n".join(clean))
    # It takes seconds on two slow cores; quadratic time would be hours.
    assert time.monotonic() - started < 60


# Real pairs


@pytest.mark.shared
def test_nearly_all_real_pairs_are_reproduced_to_within_white_space(shared_dir: Path) -> None:
    with gzip.open(shared_dir / "data/refine_pairs/delete_only.jsonl.gz", "rt", encoding="utf-8") as file:
        pairs = [json.loads(line) for line in file]
    found = [check(pair["raw"], pair["clean"]) for pair in pairs]
    n_exact, n_same_words = (sum(getattr(f, name) for f in found) for name in ("exact", "exact_but_white_space"))
    print(f"{len(found)} pairs: {n_exact} exact, {n_same_words} to within white space")
    assert len(found) == 150
    assert n_same_words >= 0.95 * len(found)
