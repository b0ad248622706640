"""Operations print in their canonical form; codes carry their sentence in the manual."""

import ast
import copy
import pickle
import sys
from pathlib import Path

import pytest

import prox_spark.programs
from prox_spark.programs import (
    DiagnosticCode,
    DocumentStatus,
    Operation,
    OpName,
    Program,
    ProgramStatus,
    Severity,
    print_program,
)
from prox_spark.programs.manual import render_diagnostics_page
from prox_spark.programs.operations import clip_range, make_snippet

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("operation", "printed"),
    [
        (Operation(OpName.REMOVE_LINES, 3, 5), "remove_lines(line_start=3, line_end=5)"),
        (Operation(OpName.REMOVE_LINES), "remove_lines(all=True)"),
        (
            Operation(OpName.NORMALIZE, source_str='a"b\\', target_str=""),
            'normalize(source_str="a\\"b\\\\", target_str="")',
        ),
        (
            Operation(OpName.NORMALIZE, source_str="a\r\nb", target_str="c"),
            'normalize(source_str="a\\r\\nb", target_str="c")',
        ),
        (Operation(OpName.KEEP_CHUNK), "keep_chunk()"),
        (Operation(OpName.KEEP_DOC), "keep_doc()"),
        (Operation(OpName.DROP_DOC), "drop_doc()"),
    ],
)
def test_an_operation_prints_in_its_canonical_form(operation: Operation, printed: str) -> None:
    assert str(operation) == printed


def test_a_program_prints_one_operation_a_line() -> None:
    program = Program((Operation(OpName.KEEP_CHUNK), Operation(OpName.REMOVE_LINES, 0, 0)))
    assert print_program(program) == str(program) == "keep_chunk()\nremove_lines(line_start=0, line_end=0)"


def test_an_operation_has_exactly_the_fields_of_the_row_struct() -> None:
    assert Operation.__slots__ == ("op", "line_start", "line_end", "source_str", "target_str")


@pytest.mark.parametrize("code", list(DiagnosticCode))
def test_a_code_has_a_severity_and_one_sentence_of_meaning(code: DiagnosticCode) -> None:
    assert code.severity in Severity
    assert code.meaning.endswith(".")
    assert "\n" not in code.meaning


@pytest.mark.parametrize("member", [*DocumentStatus, *ProgramStatus])
def test_a_status_has_one_sentence_of_meaning_and_is_its_plain_string(member: DocumentStatus) -> None:
    assert member.meaning.endswith(".") and "\n" not in member.meaning
    assert f"{member}" == member.value == member.name.lower()
    assert pickle.loads(pickle.dumps(member)) is type(member)(member.value) is member


def test_the_committed_page_is_what_the_code_writes() -> None:
    page = Path(__file__).parents[3] / "docs" / "diagnostics.md"
    told = "python -m prox_spark.programs.manual > docs/diagnostics.md"
    assert page.read_text("utf-8") == render_diagnostics_page(), f"write it anew: {told}"
    assert told in render_diagnostics_page()


@pytest.mark.parametrize("member", [*DiagnosticCode, *DocumentStatus, *ProgramStatus])
def test_the_page_explains_every_code_and_status(member: str) -> None:
    assert f"\n| `{member}` | " in render_diagnostics_page()


def test_a_code_is_stored_as_its_plain_string() -> None:
    assert f"{DiagnosticCode.STRAY_TEXT}" == "stray_text"
    assert DiagnosticCode("stray_text") is DiagnosticCode.STRAY_TEXT


def test_a_code_survives_pickling_and_copying_with_its_severity() -> None:
    for twin in (pickle.loads(pickle.dumps(DiagnosticCode.SOURCE_ABSENT)), copy.deepcopy(DiagnosticCode.SOURCE_ABSENT)):
        assert twin is DiagnosticCode.SOURCE_ABSENT
        assert twin.severity is Severity.NOTE


def test_the_statuses_are_those_of_the_tables() -> None:
    assert {str(status) for status in DocumentStatus} == {
        "kept_unchanged",
        "edited",
        "dropped_doc",
        "blanked_ratio",
        "blanked_short",
        "program_discarded",
        "quarantined",
    }


@pytest.mark.parametrize(
    ("start", "end", "left", "code"),
    [
        (2, 4, range(2, 5), None),
        (2, 9, range(2, 5), DiagnosticCode.RANGE_CLIPPED),
        (0, 3, range(2, 4), DiagnosticCode.RANGE_CLIPPED),
        (0, 1, None, DiagnosticCode.RANGE_OUTSIDE),
        (5, 5, None, DiagnosticCode.RANGE_OUTSIDE),
        (4, 3, None, DiagnosticCode.RANGE_REVERSED),
    ],
)
def test_a_range_is_cut_to_the_lines_it_may_touch(
    start: int, end: int, left: range | None, code: DiagnosticCode | None
) -> None:
    assert clip_range(start, end, range(2, 5)) == (left, code)


def test_a_snippet_can_be_stored_whatever_the_text() -> None:
    assert make_snippet("a\nb\ud800" + "x" * 100, 4) == "a\\nb\\ud800…"


def test_the_package_imports_nothing_but_the_standard_library_and_itself() -> None:
    folder = Path(prox_spark.programs.__file__).parent
    imported = set()
    for source in [*folder.glob("*.py"), folder.parent / "chunking.py"]:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    foreign = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    assert imported
    assert {name for name in foreign if not name.startswith("prox_spark.programs")} == set()
