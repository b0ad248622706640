from __future__ import annotations

import pytest

from prox_spark.annotation.answers import read_program, read_score
from prox_spark.programs import Operation, OpName

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("3", 3),
        (" 0\n", 0),
        ("Score: 4", 4),
        ("**Score:** 4", 4),
        ("Score: 2/5", 2),
        ("I give it 3 out of 5.", 3),
        ("4 of 5", 4),
        ("Points 1 and 2 hold, 3 does not.\nScore: 2", 2),
        ("Score: 1? No, it explains too.\nScore: 3", 3),
        ("Educational value: 5", 5),
        ("<think>Score: 5, maybe 4</think>\nScore: 1", 1),
        ("it has much chatter</think>2", 2),
        ("One point, then another: 2", 2),
        ("Score: 0/5", 0),
        ("**4**/5", 4),
        ("Score (0-5): 3", 3),
        ("On a scale from 0 to 5:\n\n**Score:**\n4", 4),
        ("Points 1, 2 and 3 hold.\n\nScore:\n4", 4),
        ("Score: 3 (points 1, 2 and 3)", 3),
        ("Points 1 and 2 hold. I give it a score of 5.", 5),
        ("Its value is clear.\n1. It explains.\nScore: 2", 2),
        ("Score (out of 5): 3", 3),
        ("Score out of 5: 4", 4),
        ("Score (/5): 3", 3),
        ("It has 3 points out of 5.", 3),
        ("I rate it 4 (out of 5)", 4),
        ("Score: three out of 5", None),
        ("Score:\n1. tells: yes\n2. depth: yes\n3. no\nTotal: 2", 2),
        ("Score: 1\n- 5 fails", 1),
        ("Score: 1 - 5 fails", 1),
        ("Score: 7", None),
        ("Score: 35", None),
        ("Score: 3.5", None),
        ("three", None),
        ("", None),
        ("<think>It could be 3", None),
        ("1" * 5000, None),
    ],
)
def test_a_score_is_the_last_number_that_is_called_one(answer: str, score: int | None) -> None:
    assert read_score(answer) == score


REMOVE = Operation(OpName.REMOVE_LINES, 4, 5)


@pytest.mark.parametrize(
    "answer",
    [
        "remove_lines(line_start=4, line_end=5)",
        "```python\nremove_lines(line_start=4, line_end=5)\n```",
        "Lines 4 and 5 are a menu.\n```\nremove_lines(line_start=4, line_end=5)\n```\n",
        "```\nkeep_chunk()\n```\nNo, there is a menu:\n```\nremove_lines(line_start=4, line_end=5)",
        "<think>remove_lines(line_start=9, line_end=9)?</think>remove_lines(line_start=4, line_end=5)",
    ],
)
def test_a_program_is_what_stands_in_the_last_block_or_alone(answer: str) -> None:
    program = read_program(answer, range(4, 10))
    assert (program.ops, program.diagnostics) == ((REMOVE,), ())


def test_chatter_without_a_block_is_found_in_the_program() -> None:
    assert read_program("Lines 4 and 5 should go.", range(10)).n_errors
