"""A free-text verdict is the answer's call or unknown; it is never read out of the middle of a sentence."""

from collections.abc import Callable

import pytest

from prox_spark.programs import DocVerdict, parse_verdict
from prox_spark.programs.doc_verdict import MAX_VERDICT_CHARS

pytestmark = pytest.mark.unit

# In each answer NAME stands for `keep_doc` or `drop_doc`, and OTHER for the other one.
CLEAR = [
    "NAME()",
    "  NAME() \n",
    "\n\r\n\tNAME()\r\n",
    "NAME ( )",
    "NAME();",
    "NAME().",
    "```\nNAME()\n```",
    "```python\nNAME()\n```",
    "```NAME()```",
    "`NAME()`",
    '"NAME()"',
    "'NAME()'",
    "“NAME()”",
    "**NAME()**",
    '"""\nNAME()\n"""',
    "# The page is a list of links.\nNAME()",
    "NAME()  # and not OTHER(), as one may think",
    "# OTHER() was my first thought\nNAME()",
    "NAME() NAME()",
    "NAME(), NAME()",
    "NAME()\n" * 500,
    "NAME()\nNAME()\nNA",
    "NAME()\nThis page is one of a kind.",
    "NAME()\n\nExplanation: the page (see its title) has 3 lists; I chose NAME() for them.",
    "NAME()\nReason (in short): none",
    "```\nNAME()\n```\nThe page says \"buy now\" and 'click here'.",
    "NAME()\n\ud800\x00é",
]
UNCLEAR = [
    "NAME",
    "NAME(",
    "NAME(\n)",
    "NA",
    "NAME)",
    "_NAME()",
    "NAMEs()",
    "NAME(True)",
    "NAME(reason='spam')",
    "I would not NAME() this",
    "I would not NAME() this\nNAME()",
    "Sure! NAME()",
    "Never write\nNAME()",
    "don't NAME",
    "not NAME()",
    "NAME() is not what I would write",
    "NAME() would be wrong here.",
    "NAME()?",
    "NAME() or OTHER()",
    "NAME()\nOTHER()",
    "NAME();OTHER()",
    "NAME()\nOTHER",
    "NAME()\nOTHER(1)",
    "NAME()\nNAME(1)",
    "NAME()\nI mean OTHER.",
    "NAME()\nremove_lines(line_start=0, line_end=1)",
    "remove_lines(line_start=0, line_end=1)\nNAME()",
    'normalize(source_str="NAME()", target_str="")',
    "# NAME()",
    "keep_chunk()\nNAME()",
    "if spam:\n    NAME()",
    "def NAME():\n    pass",
    "print(NAME())",
]


@pytest.mark.parametrize("capitals", [str, str.upper, str.title], ids=lambda change: change.__name__)
@pytest.mark.parametrize(("name", "verdict"), [("keep_doc", DocVerdict.KEEP), ("drop_doc", DocVerdict.DROP)])
@pytest.mark.parametrize("answer", CLEAR)
def test_a_call_alone_on_the_first_line_is_the_verdict(
    answer: str, name: str, verdict: DocVerdict, capitals: Callable[[str], str]
) -> None:
    other = {"keep_doc": "drop_doc", "drop_doc": "keep_doc"}[name]
    written = answer.replace("NAME", name).replace("OTHER", other).replace("\nNA", "\n" + name[:6])
    assert parse_verdict(capitals(written)) is verdict


@pytest.mark.parametrize("name", ["keep_doc", "drop_doc"])
@pytest.mark.parametrize("answer", UNCLEAR)
def test_any_other_answer_is_unknown(answer: str, name: str) -> None:
    other = {"keep_doc": "drop_doc", "drop_doc": "keep_doc"}[name]
    written = answer.replace("NAME", name).replace("OTHER", other)
    assert parse_verdict(written) is DocVerdict.UNKNOWN


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n\t",
        "```\n```",
        "# nothing",
        "keep",
        "drop",
        "keep_chunk()",
        "untouch_doc()",
        "drop_chunk()",
        "yes",
        "\ud800",
    ],
)
def test_an_answer_without_either_call_is_unknown(answer: str) -> None:
    assert parse_verdict(answer) is DocVerdict.UNKNOWN


def test_an_answer_cut_inside_the_other_call_disagrees() -> None:
    assert parse_verdict("keep_doc()\ndrop_d") is DocVerdict.UNKNOWN


def test_what_comes_after_the_limit_is_not_read() -> None:
    assert parse_verdict("drop_doc()\n" + " " * MAX_VERDICT_CHARS + "keep_doc()") is DocVerdict.DROP
    assert parse_verdict("\n" * MAX_VERDICT_CHARS + "keep_doc()") is DocVerdict.UNKNOWN
