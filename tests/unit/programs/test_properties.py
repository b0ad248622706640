"""Properties of every text and every program."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.programs import (
    ChunkProgram,
    DocumentStatus,
    Execution,
    Gates,
    Operation,
    OpName,
    Program,
    execute,
    execute_chunks,
    execute_reference,
    parse,
    print_program,
    run_reference,
)
from prox_spark.programs.words import count_words

pytestmark = pytest.mark.unit

# Any code point; by default hypothesis leaves surrogates out of text().
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
STRINGS = ANY_TEXT | st.text("ab\"'\\,)( =\n;#`", max_size=12)
LINE_NUMBERS = st.integers(0, 2**31 - 1)
OPERATIONS = st.one_of(
    st.tuples(LINE_NUMBERS, LINE_NUMBERS).map(lambda pair: Operation(OpName.REMOVE_LINES, min(pair), max(pair))),
    st.just(Operation(OpName.REMOVE_LINES)),
    st.builds(Operation, st.just(OpName.NORMALIZE), source_str=STRINGS, target_str=STRINGS),
    st.sampled_from([OpName.KEEP_CHUNK, OpName.KEEP_DOC, OpName.DROP_DOC]).map(Operation),
)
# Fragments of the language, so that many answers get past the first token.
CALLS = [
    "remove_lines(1, 2)\n",
    'normalize("line", "row")\n',
    "remove_lines(0, 99)\n",
    "keep_chunk()",
    "drop_doc()",
    "x()",
]
NAMES = ["remove_lines(", "normalize(", "line_start=", "end=", "source_str=", "target=", "all=True", "ab", "line"]
MARKS = ["0", "1", "2", "7", "99", "-1", ",", ", ", ")", '"', "'", "\\", "\n", ";", "#", "```"]
PIECES = st.sampled_from(CALLS + NAMES + MARKS)
ANSWERS = st.lists(PIECES, max_size=30).map("".join) | ANY_TEXT
DOCUMENTS = st.lists(st.text("abline \r\t\u2028é", max_size=12) | st.just("line of ab words"), max_size=12).map(
    "\n".join
)
# Letters of scripts without blanks, with signs beside them.
WITHOUT_BLANKS = st.lists(st.text("ab 中文、。カーﾞน้ក្", max_size=12), max_size=12).map("\n".join)


@given(st.lists(OPERATIONS, max_size=12))
def test_a_printed_program_reads_back_as_itself(ops: list[Operation]) -> None:
    program = Program(tuple(ops))
    assert parse(print_program(program)) == program


@given(ANSWERS)
def test_what_was_read_prints_and_reads_back_without_findings(answer: str) -> None:
    program = parse(answer)
    assert parse(print_program(program)) == Program(program.ops)


@given(st.binary(max_size=400))
def test_no_bytes_make_the_parser_raise(data: bytes) -> None:
    for answer in (data.decode("utf-8", "replace"), data.decode("latin-1"), data.decode("utf-8", "surrogateescape")):
        assert len(parse(answer).diagnostics) <= len(answer)


@given(ANSWERS, st.integers(0, 20), st.integers(0, 20))
def test_what_was_read_touches_only_the_lines_given(answer: str, start: int, length: int) -> None:
    lines = range(start, start + length)
    for op in parse(answer, lines).ops:
        if op.op is OpName.REMOVE_LINES and op.line_start is not None and op.line_end is not None:
            assert op.line_start in lines
            assert op.line_end in lines


def check_invariants(text: str, execution: Execution) -> None:
    n_lines = text.count("\n") + 1
    removed = [line for span in execution.removed for line in range(span.line_start, span.line_end + 1)]
    assert len(removed) == len(set(removed))
    assert all(0 <= line < n_lines for line in removed)
    assert all(done.n_hits > 0 for done in execution.normalized)
    assert execution.words_before == count_words(text)
    assert execution.words_after == count_words(execution.text)
    unchanged = (DocumentStatus.KEPT_UNCHANGED, DocumentStatus.PROGRAM_DISCARDED)
    assert (execution.status in unchanged) == (execution.text == text and text.strip() != "")


@given(DOCUMENTS | WITHOUT_BLANKS | ANY_TEXT, ANSWERS, st.integers(0, 12))
def test_execution_never_raises_and_its_outcome_is_consistent(text: str, answer: str, min_words: int) -> None:
    execution = execute(text, answer, gates=Gates(min_words=min_words))
    check_invariants(text, execution)
    discarded = any(outcome.reason for outcome in execution.chunk_outcomes)
    assert (execution.status is DocumentStatus.PROGRAM_DISCARDED) <= discarded


@given(DOCUMENTS, ANSWERS, ANSWERS, st.integers(0, 12), st.integers(0, 12))
def test_lines_outside_a_chunk_are_never_touched(text: str, first: str, second: str, cut: int, length: int) -> None:
    n_lines = text.count("\n") + 1
    start, stop = min(cut, n_lines), min(cut + length, n_lines)
    # A line of its own on both sides avoids the gates and marks where the outside begins and ends.
    ending = ["END " * 30]
    lines = text.split("\n") + ending
    chunks = [
        ChunkProgram(0, start, stop - 1, parse(first)),
        ChunkProgram(1, start, stop - 1, parse(second, range(start, stop))),
    ]
    result = execute_chunks("\n".join(lines), chunks, Gates(min_word_ratio=0.0)).text.split("\n")
    assert result[:start] == lines[:start]
    tail = lines[stop:]
    assert result[len(result) - len(tail) :] == tail


@given(DOCUMENTS, st.lists(ANSWERS, max_size=3))
def test_the_reference_never_raises_and_its_outcome_is_consistent(text: str, answers: list[str]) -> None:
    execution = run_reference(text, answers)
    assert execution.text == execute_reference(text, "\n".join(answer.strip(" ") for answer in answers))
    assert execution.words_before == len(text.split())
    assert execution.words_after == len(execution.text.split())
    if execution.status is DocumentStatus.PROGRAM_DISCARDED:
        assert execution.text == text


@given(
    DOCUMENTS.filter(lambda text: len(text.split()) > 10), st.lists(st.tuples(st.integers(0, 14), st.integers(0, 3)))
)
def test_both_executors_agree_on_ranges_inside_the_document(text: str, ranges: list[tuple[int, int]]) -> None:
    n_lines = text.count("\n") + 1
    inside = [(start, start + more) for start, more in ranges if start + more < n_lines][:16]
    program = "\n".join(str(Operation(OpName.REMOVE_LINES, start, end)) for start, end in inside)
    assert execute(text, program).text == execute_reference(text, program)
