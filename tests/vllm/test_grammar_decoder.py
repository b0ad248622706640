"""The program grammar in the hands of xgrammar, by which vLLM decodes unless told otherwise."""

from __future__ import annotations

import pytest
from program_pattern import PROGRAM_PATTERN

from prox_spark.programs.grammar import PROGRAM_GRAMMAR

pytestmark = pytest.mark.engine

REMOVE = "remove_lines(line_start=0, line_end=99999)"
NORMALIZE = 'normalize(source_str="a\\"b\\\\é\t\u2028", target_str="")'


@pytest.mark.parametrize(
    "answer",
    [
        "keep_chunk()",
        REMOVE,
        NORMALIZE,
        f"{REMOVE}\n{NORMALIZE}\n{REMOVE}",
        "",
        "keep_chunk()\nkeep_chunk()",
        f"{REMOVE}\n",
        f"{REMOVE} {REMOVE}",
        REMOVE.replace("99999", "100000"),
        REMOVE.replace("0,", "00,"),
        NORMALIZE.replace("\\\\", "\\n"),
        NORMALIZE.replace("\\\\", "\n"),
        NORMALIZE.replace("\\\\", '"'),
        'normalize(source_str="a", target_str="b")',
        "remove_lines(all=True)",
        "drop_doc()",
    ],
)
def test_xgrammar_accepts_what_the_pattern_recognises_and_nothing_else(answer: str) -> None:
    # Imports torch.
    from xgrammar import Grammar
    from xgrammar.testing import _is_grammar_accept_string

    accepted = _is_grammar_accept_string(Grammar.from_ebnf(PROGRAM_GRAMMAR), answer)
    assert accepted == bool(PROGRAM_PATTERN.fullmatch(answer))
