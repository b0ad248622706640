"""The grammar that an engine decodes under, the parser and the printer are one language."""

from __future__ import annotations

import llguidance
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance.gbnf_to_lark import gbnf_to_lark

from prox_spark.programs import Operation, OpName, Program, parse, print_program
from prox_spark.programs.grammar import PROGRAM_GRAMMAR

pytestmark = pytest.mark.unit

# The rules of PROGRAM_GRAMMAR by hand, one strategy each. A call is drawn with what it means.
NUMBER = st.just("0") | st.from_regex(r"[1-9][0-9]{0,4}", fullmatch=True)
CHARACTER = (
    st.characters(exclude_characters='"\\\r\n', exclude_categories=["Cs"]).map(lambda c: (c, c))
    | st.sampled_from([("\\\\", "\\"), ('\\"', '"')])
    | st.sampled_from([(c, c) for c in "()=,;#'`\t \u2028\x85\0"])
)


def joined(characters: list[tuple[str, str]]) -> tuple[str, str]:
    return "".join(written for written, _ in characters), "".join(meant for _, meant in characters)


SOURCE = st.lists(CHARACTER, min_size=2, max_size=12).map(joined)
TARGET = st.lists(CHARACTER, max_size=12).map(joined)


def remove(pair: tuple[str, str]) -> tuple[str, Operation]:
    # The grammar can't count: a reversed range is in the language, and a finding of the parser.
    start, end = sorted(pair, key=int)
    call = f"remove_lines(line_start={start}, line_end={end})"
    return call, Operation(OpName.REMOVE_LINES, int(start), int(end))


def normalize(pair: tuple[tuple[str, str], tuple[str, str]]) -> tuple[str, Operation]:
    (source, source_meant), (target, target_meant) = pair
    call = f'normalize(source_str="{source}", target_str="{target}")'
    return call, Operation(OpName.NORMALIZE, source_str=source_meant, target_str=target_meant)


CALL = st.tuples(NUMBER, NUMBER).map(remove) | st.tuples(SOURCE, TARGET).map(normalize)
# 16 copies of one call are a runaway generation, whatever the grammar says.
ROOT = st.just([("keep_chunk()", Operation(OpName.KEEP_CHUNK))]) | st.lists(CALL, min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(ROOT)
def test_what_is_decoded_under_the_grammar_reads_as_what_it_says(calls: list[tuple[str, Operation]]) -> None:
    program = parse("\n".join(call for call, _ in calls))
    assert program == Program(tuple(operation for _, operation in calls))


@settings(max_examples=60, deadline=None)
@given(ROOT)
def test_what_is_decoded_under_the_grammar_is_the_canonical_print(calls: list[tuple[str, Operation]]) -> None:
    answer = "\n".join(call for call, _ in calls)
    assert print_program(parse(answer)) == answer


class GrammarMatcher:
    """The grammar in the hands of llguidance, one of the two libraries by which vLLM decodes under it."""

    def __init__(self) -> None:
        self._grammar = llguidance.grammar_from("lark", gbnf_to_lark(PROGRAM_GRAMMAR))
        self._tokenizer = llguidance.LLTokenizer("byte")

    def accepts(self, answer: str) -> bool:
        matcher = llguidance.LLMatcher(self._tokenizer, self._grammar)
        assert not matcher.get_error()
        data = list(answer.encode())
        return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()


@pytest.fixture(scope="module")
def grammar() -> GrammarMatcher:
    return GrammarMatcher()


@settings(max_examples=60, deadline=None)
@given(ROOT)
def test_the_rules_by_hand_are_those_of_the_grammar(
    grammar: GrammarMatcher, calls: list[tuple[str, Operation]]
) -> None:
    assert grammar.accepts("\n".join(call for call, _ in calls))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)
OPERATIONS = st.tuples(st.integers(0, 99_999), st.integers(0, 99_999)).map(
    lambda pair: Operation(OpName.REMOVE_LINES, min(pair), max(pair))
) | st.builds(Operation, st.just(OpName.NORMALIZE), source_str=TEXT.filter(lambda s: len(s) > 1), target_str=TEXT)


@settings(max_examples=60, deadline=None)
@given(st.lists(OPERATIONS, min_size=1, max_size=6))
def test_the_grammar_accepts_every_printed_edit(grammar: GrammarMatcher, ops: list[Operation]) -> None:
    assert grammar.accepts(print_program(ops))


def test_the_grammar_accepts_a_printed_keep(grammar: GrammarMatcher) -> None:
    assert grammar.accepts(str(Operation(OpName.KEEP_CHUNK)))


@pytest.mark.parametrize(
    "answer",
    [
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
    ],
)
def test_the_grammar_refuses_all_other_answers(answer: str, grammar: GrammarMatcher) -> None:
    assert not grammar.accepts(answer)
