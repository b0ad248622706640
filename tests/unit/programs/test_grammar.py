"""The grammar that an engine decodes under, the parser and the printer are one language."""

from __future__ import annotations

import llguidance
import pytest
from derivations import derivations
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance.gbnf_to_lark import gbnf_to_lark
from program_pattern import PROGRAM_PATTERN

from prox_spark.programs import DiagnosticCode, Operation, OpName, Program, parse, print_program
from prox_spark.programs.grammar import MAX_DIGITS, PROGRAM, PROGRAM_GRAMMAR

pytestmark = pytest.mark.unit

# The text that generations are keyed by. Change it knowingly: another wording asks every prompt again.
PRINTED = r"""
root ::= "keep_chunk()" | call ("\n" call)*
call ::= remove | normalize
remove ::= "remove_lines(line_start=" number ", line_end=" number ")"
normalize ::= "normalize(source_str=\"" character character+ "\", target_str=\"" character* "\")"
number ::= "0" | [1-9] [0-9]? [0-9]? [0-9]? [0-9]?
character ::= [^"\\\r\n] | "\\\\" | "\\\""
""".strip()

DERIVATIONS = derivations(PROGRAM)

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('ab"\\\r\n,)( ='), max_size=12)
LINES = st.integers(0, 99_999) | st.sampled_from([9, 10, 99_999, 100_000, 2**31 - 1])
OPERATIONS = st.one_of(
    st.tuples(LINES, LINES).map(lambda pair: Operation(OpName.REMOVE_LINES, min(pair), max(pair))),
    st.just(Operation(OpName.REMOVE_LINES)),
    st.builds(Operation, st.just(OpName.NORMALIZE), source_str=TEXT, target_str=TEXT),
    st.sampled_from([OpName.KEEP_CHUNK, OpName.KEEP_DOC, OpName.DROP_DOC]).map(Operation),
)
PROGRAMS = st.lists(OPERATIONS, max_size=4)


def is_reversed(call: str) -> bool:
    # The grammar can't compare numbers: a reversed range is in the language and is a finding of the parser.
    return [finding.code for finding in parse(call).diagnostics] == [DiagnosticCode.RANGE_REVERSED]


def is_constrained(ops: list[Operation]) -> bool:
    """Return True if a program is in the language of the grammar; the module lists what is not."""
    if [op.op for op in ops] == [OpName.KEEP_CHUNK]:
        return True
    return bool(ops) and all(map(is_constrained_edit, ops))


def is_constrained_edit(op: Operation) -> bool:
    match op:
        case Operation(OpName.REMOVE_LINES, int(start), int(end)):
            return max(start, end) < 10**MAX_DIGITS
        case Operation(OpName.NORMALIZE, None, None, str(source), str(target)):
            return len(source) >= 2 and not set("\r\n") & set(source + target)
    return False


def test_the_printed_grammar_is_the_one_that_generations_are_keyed_by() -> None:
    assert PROGRAM_GRAMMAR == PRINTED


@settings(max_examples=200, deadline=None)
@given(DERIVATIONS)
def test_what_is_decoded_under_the_grammar_is_read_without_findings(answer: str) -> None:
    assert {finding.code for finding in parse(answer).diagnostics} <= {DiagnosticCode.RANGE_REVERSED}


@settings(max_examples=200, deadline=None)
@given(DERIVATIONS)
def test_what_is_decoded_under_the_grammar_prints_back_to_itself(answer: str) -> None:
    forward = "\n".join(call for call in answer.split("\n") if not is_reversed(call))
    assert print_program(parse(answer)) == forward


@settings(max_examples=200, deadline=None)
@given(DERIVATIONS)
def test_the_pattern_recognises_what_the_grammar_derives(answer: str) -> None:
    assert PROGRAM_PATTERN.fullmatch(answer)


@settings(max_examples=300, deadline=None)
@given(PROGRAMS)
def test_the_pattern_recognises_the_prints_of_constrained_programs_and_of_no_others(ops: list[Operation]) -> None:
    assert bool(PROGRAM_PATTERN.fullmatch(print_program(ops))) == is_constrained(ops)


@settings(max_examples=200, deadline=None)
@given(DERIVATIONS, st.integers(0, 200), st.text(st.sampled_from('"\\()=, \nr1'), max_size=2), st.integers(0, 3))
def test_what_the_pattern_recognises_near_a_derivation_is_read_too(
    answer: str, position: int, inserted: str, n_deleted: int
) -> None:
    changed = answer[:position] + inserted + answer[position + n_deleted :]
    if PROGRAM_PATTERN.fullmatch(changed):
        assert {finding.code for finding in parse(changed).diagnostics} <= {DiagnosticCode.RANGE_REVERSED}


def test_the_pattern_refuses_a_long_program_without_trying_every_way_to_read_its_numbers() -> None:
    calls = "remove_lines(line_start=10, line_end=200)\n" * 2_000
    assert PROGRAM_PATTERN.fullmatch(calls.strip())
    assert not PROGRAM_PATTERN.fullmatch(calls)


class GrammarMatcher:
    """The grammar as compiled by llguidance, one of the two libraries that vLLM decodes with."""

    def __init__(self) -> None:
        self._grammar = llguidance.grammar_from("lark", gbnf_to_lark(PROGRAM_GRAMMAR))
        self._tokenizer = llguidance.LLTokenizer("byte")

    def accepts(self, answer: str) -> bool:
        matcher = llguidance.LLMatcher(self._tokenizer, self._grammar)
        assert not matcher.get_error()
        data = list(answer.encode())
        return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()


@pytest.fixture(scope="module")
def decoder() -> GrammarMatcher:
    return GrammarMatcher()


@settings(max_examples=80, deadline=None)
@given(DERIVATIONS)
def test_the_decoder_accepts_what_the_grammar_derives(decoder: GrammarMatcher, answer: str) -> None:
    assert decoder.accepts(answer)


@settings(max_examples=80, deadline=None)
@given(PROGRAMS)
def test_the_decoder_and_the_pattern_agree_on_printed_programs(decoder: GrammarMatcher, ops: list[Operation]) -> None:
    printed = print_program(Program(tuple(ops)))
    assert decoder.accepts(printed) == bool(PROGRAM_PATTERN.fullmatch(printed))


REFUSED = [
    "",
    "drop_doc()",
    "keep_doc()",
    "keep_chunk()\nkeep_chunk()",
    "keep_chunk()\nremove_lines(line_start=0, line_end=1)",
    "remove_lines(line_start=0, line_end=1)\n",
    "remove_lines(line_start=00, line_end=1)",
    "remove_lines(line_start=-1, line_end=1)",
    "remove_lines(line_start=100000, line_end=100000)",
    "remove_lines(start=0, end=1)",
    "remove_lines(all=True)",
    'normalize(source_str="a", target_str="")',
    'normalize(source_str="", target_str="")',
    'normalize(source_str="a\nb", target_str="")',
    'normalize(source_str="a\\nb", target_str="")',
    'normalize(source_str="a"b", target_str="")',
    "normalize(source_str='ab', target_str='')",
    "Sure! keep_chunk()",
]


@pytest.mark.parametrize("answer", REFUSED)
def test_the_grammar_refuses_all_other_answers(answer: str, decoder: GrammarMatcher) -> None:
    assert not decoder.accepts(answer)
    assert not PROGRAM_PATTERN.fullmatch(answer)
