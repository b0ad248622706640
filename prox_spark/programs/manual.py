"""The page about findings and statuses, written from the code.

python -m prox_spark.programs.manual > docs/diagnostics.md
"""

from collections.abc import Iterable, Sequence

from prox_spark.programs import doc_verdict, lexer, parser, strict
from prox_spark.programs.execution import Gates, ProgramStatus
from prox_spark.programs.operations import MAX_LINE_NUMBER, DiagnosticCode, DocumentStatus, Severity


def render_diagnostics_page() -> str:
    """Return the page as Markdown; a test compares the committed file with it."""
    errors = [code for code in DiagnosticCode if code.severity is Severity.ERROR]
    notes = [code for code in DiagnosticCode if code.severity is Severity.NOTE]
    gates = Gates()
    limits = [
        (f"{parser.MAX_PROGRAM_CHARS:,}", "characters of an answer that are read", DiagnosticCode.PROGRAM_TOO_LONG),
        (f"{parser.MAX_CALLS:,}", "calls of an answer that are read", DiagnosticCode.TOO_MANY_OPERATIONS),
        (f"{parser.MAX_OPERATIONS:,}", "operations of a program", DiagnosticCode.TOO_MANY_OPERATIONS),
        (f"{parser.MAX_COPIES:,}", "copies of one operation", DiagnosticCode.REPEATED_OPERATION),
        (f"{lexer.MAX_ARGUMENTS:,}", "arguments of a call", DiagnosticCode.MALFORMED_ARGUMENTS),
        (f"{MAX_LINE_NUMBER:,}", "largest line number; a larger one means the same", DiagnosticCode.RANGE_CLIPPED),
        (
            f"{strict.GROWTH_FACTOR} × + {strict.GROWTH_CHARS:,}",
            "characters of a chunk after replacements",
            DiagnosticCode.TEXT_GROWTH,
        ),
        (f"{parser.MAX_DIAGNOSTICS:,}", "findings of each severity that are kept of an answer", None),
        (f"{doc_verdict.MAX_VERDICT_CHARS:,}", "characters of a free-text verdict that are read", None),
    ]
    parts = [
        "# Findings and statuses",
        "<!-- Written by the code, do not edit: python -m prox_spark.programs.manual > docs/diagnostics.md -->",
        "The values of the columns `diagnostics.code` and `status` of the table `programs`, and of `status` of `refined`.",
        "## Findings that are errors",
        f"A chunk's program with {gates.max_errors} errors or more (`apply.max_errors`) is discarded. The reference "
        "executor counts over all chunks of a document and discards all of their programs.",
        _render_table(("code", "meaning"), ((f"`{code}`", code.meaning) for code in errors)),
        "## Findings that are notes",
        "Notes are recorded and never discard a program.",
        _render_table(("code", "meaning"), ((f"`{code}`", code.meaning) for code in notes)),
        "## Status of a chunk's program",
        "The column `programs.status`.",
        _render_table(("status", "meaning"), ((f"`{member}`", member.meaning) for member in ProgramStatus)),
        "## Status of a document",
        "The column `refined.status`; every document has exactly one status. A share of the words of at most "
        f"{gates.min_word_ratio:g} (`apply.min_word_ratio`) is too small, and {gates.min_words} words "
        "(`apply.min_words`) or fewer are too few. White space separates words; in scripts without blanks (Chinese, "
        "Japanese, Thai, Khmer and others) each letter is a word. The reference executor uses white space alone.",
        _render_table(("status", "meaning"), ((f"`{status}`", status.meaning) for status in DocumentStatus)),
        "## Limits of the strict executor",
        "No answer makes reading or executing raise, and these limits bound time and memory.",
        _render_table(
            ("limit", "of what", "finding"), ((*limit, f"`{code}`" if code else "") for *limit, code in limits)
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _render_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    print(render_diagnostics_page(), end="")
