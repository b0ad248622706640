"""Column expressions that both native executors are made of: words, spans of lines, printed operations.

Lambdas of Spark's higher-order functions are interpreted, so what these cost grows with a document's operations and spans,
never with its lines or words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.programs import DiagnosticCode, OpName, Severity, Verdict
from prox_spark.programs.words import BESIDE_THEM, UNSPACED_LETTERS, Ranges, alone_pattern

if TYPE_CHECKING:
    from pyspark.sql import Column

# What Python's str.split() and str.strip() take for white space; Java's \s knows six of them.
WHITE_SPACE: Final = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)
# The same for Java's regular expressions. Eight times as fast as the characters one by one, which it tests in turn.
_WHITE_SPACES: Final = r"(?U)[\s\x1c-\x1f]+"


def _inside_class(ranges: Ranges) -> str:
    """Ranges as the inside of a character class of Java's."""
    # It tries what a class lists in turn. Halves of halves, each within a range, make it ten times as fast.
    if len(ranges) <= 2:
        return "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in ranges)
    halves = ranges[: len(ranges) // 2], ranges[len(ranges) // 2 :]
    return "".join(f"[{_inside_class(((half[0][0], half[-1][1]),))}&&[{_inside_class(half)}]]" for half in halves)


_LETTERS: Final = _inside_class(UNSPACED_LETTERS)
_LETTER_ALONE: Final = alone_pattern(_LETTERS, _inside_class(BESIDE_THEM))

SPANS: Final = T.ArrayType(
    T.StructType([T.StructField(name, T.LongType()) for name in ("line_start", "line_end", "taker")])
)
FINDINGS: Final = T.ArrayType(schemas.DIAGNOSTIC)
NORMALIZED: Final = T.ArrayType(schemas.NORMALIZATION)
REMOVED: Final = T.ArrayType(schemas.REMOVED_SPAN)
# What an executor reads of a chunk: columns of `programs`, diagnostics are the parser's.
CHUNK: Final = T.StructType(
    [
        schemas.PROGRAMS.schema[name]
        for name in ("chunk_index", "line_start", "line_end", "generation_key", "ops", "diagnostics")
    ]
)
CHUNKS: Final = T.ArrayType(CHUNK)
LINES: Final = T.ArrayType(T.StringType())
# What it says of a chunk: diagnostics are the parser's and its own.
VERDICT: Final = T.StructType(
    [
        schemas.PROGRAMS.schema["chunk_index"],
        schemas.PROGRAMS.schema["diagnostics"],
        schemas.PROGRAMS.schema["status"],
        T.StructField("reason", T.StringType()),
    ]
)
# What it says of a document.
EXECUTION: Final = T.StructType(
    [
        *(schemas.REFINED.schema[name] for name in ("text", "status", "words_after", "removed", "normalized")),
        T.StructField("verdicts", T.ArrayType(VERDICT)),
    ]
)
_ERRORS: Final = [str(code) for code in DiagnosticCode if code.severity is Severity.ERROR]


def empty(kind: T.ArrayType) -> Column:
    """An array of a type with nothing in it."""
    return F.array().cast(kind)


def executable(chunks: Column, words_before: Column) -> Column:
    """The chunks of a document that has words; none of another, or for null."""
    return F.when(words_before > 0, F.coalesce(chunks, empty(CHUNKS))).otherwise(empty(CHUNKS))


def let(value: Column, body: Callable[[Column], Column]) -> Column:
    """Names a value, so that it is computed once however often the body uses it, in a lambda too."""
    # A fold of nothing that ends in the body. `transform` over an array of the value would copy what the body makes.
    return F.aggregate(F.array(), value, lambda named, _: named, body)


def count_words(text: Column) -> Column:
    """Words as `programs.words.count_words` counts them; null of null."""

    def with_blanks(text: Column) -> Column:
        has_none = is_ascii(text) | ~F.rlike(text, F.lit(f"[{_LETTERS}]"))
        return F.when(has_none, text).otherwise(F.regexp_replace(text, _LETTER_ALONE, " x "))

    return count_by_white_space(let(text, with_blanks))


def is_ascii(text: Column) -> Column:
    """True if all characters are ASCII: then words are those of `str.split()`."""
    return F.octet_length(text) == F.length(text)


def count_by_white_space(text: Column) -> Column:
    """Words as `len(text.split())` counts them, which the reference executor does; null of null."""
    # What lies before and behind white space at the ends is empty. A `let` for the parts would be one too many: those of
    # executors lie in each other, and Spark resolves a hundred at most.
    return F.size(F.array_remove(F.split(text, _WHITE_SPACES), "")).cast("long")


def strip(text: Column) -> Column:
    """`text.strip()`."""
    return F.btrim(text, F.lit(WHITE_SPACE))


def lines_of(text: Column) -> Column:
    r"""`text.split("\n")`."""
    return F.split(text, "\n")


def joined(lines: Column, spans: Column) -> Column:
    """The lines of some spans as one text, with line breaks between them.

    Args:
        lines: array of strings.
        spans: array of structs with line_start and line_end, both ends included and within the lines.
    """

    def of_span(span: Column) -> Column:
        start = span["line_start"]
        return F.concat_ws("\n", F.slice(lines, (start + 1).cast("int"), (span["line_end"] - start + 1).cast("int")))

    # Text by text: what `transform` makes is copied, and lines are many. `array_join` would grow its result bit by bit.
    return F.concat_ws("\n", F.transform(spans, of_span))


def span(start: Column, end: Column, taker: Column | None = None) -> Column:
    """One element of SPANS."""
    fields = (
        start.alias("line_start"),
        end.alias("line_end"),
        (F.lit(None) if taker is None else taker).alias("taker"),
    )
    return F.struct(*fields).cast(SPANS.elementType)


def gaps(start: Column, end: Column, taken: Column) -> Column:
    """What spans leave of a range of lines.

    Args:
        start: first line.
        end: last line, included.
        taken: SPANS, in order and disjoint.

    Returns:
        SPANS in order, without taker.
    """

    def between(inside: Column, i: Column) -> Column:
        first = F.when(i == 0, start).otherwise(F.get(inside, i - 1)["line_end"] + 1)
        last = F.when(i == F.size(inside), end).otherwise(F.get(inside, i)["line_start"] - 1)
        return span(first, last)

    return let(
        F.filter(taken, lambda s: (s["line_end"] >= start) & (s["line_start"] <= end)),
        lambda inside: F.filter(
            F.transform(F.sequence(F.lit(0), F.size(inside)), lambda i: between(inside, i)),
            lambda gap: gap["line_start"] <= gap["line_end"],
        ),
    )


def first_takers(ranges: Column) -> Column:
    """Resolves overlaps: a line belongs to the first range that names it.

    Args:
        ranges: SPANS in the order of the program, `taker` their number.

    Returns:
        SPANS in order of lines and disjoint.
    """

    def take(taken: Column, one: Column) -> Column:
        new = F.transform(
            gaps(one["line_start"], one["line_end"], taken),
            lambda gap: span(gap["line_start"], gap["line_end"], one["taker"]),
        )
        return F.sort_array(F.concat(taken, new))

    return F.when(F.size(ranges) <= 1, ranges).otherwise(F.aggregate(ranges, empty(SPANS), take))


def staying(lines: Column, taken: Column) -> Column:
    """What spans leave of all lines, as one text; the spans as in `gaps`."""
    return joined(lines, gaps(F.lit(0).cast("long"), F.size(lines).cast("long") - 1, taken))


def words_in(lines: Column, spans: Column, count: Callable[[Column], Column] = count_words) -> Column:
    """Words of the lines of some spans, as `joined` takes them."""
    return F.when(F.size(spans) > 0, count(joined(lines, spans))).otherwise(0)


def removed_spans(taken: Column, place: Callable[[Column], tuple[Column, Column]]) -> Column:
    """Spans as `refined.removed` holds them, in the order of the program.

    Args:
        taken: SPANS.
        place: the chunk and the operation in it that a `taker` stands for.
    """
    by_taker = F.transform(taken, lambda s: F.struct(s["taker"], s["line_start"], s["line_end"]))
    return F.transform(
        F.sort_array(by_taker),
        lambda s: F.struct(s["line_start"], s["line_end"], *place(s["taker"])).cast(schemas.REMOVED_SPAN),
    )


def replaced(text: Column, source: Column, target: Column, body: Callable[[Column, Column], Column]) -> Column:
    """Calls `body` with the text after a literal replacement and the number of hits (overlapping ones left out)."""

    def counted(without: Column) -> Column:
        # In bytes, which Spark knows of a text; characters it has to count.
        n_hits = ((F.octet_length(text) - F.octet_length(without)) / F.octet_length(source)).cast("long")
        return body(F.when(target == "", without).otherwise(F.replace(text, source, target)), n_hits)

    return let(F.replace(text, source, F.lit("")), counted)


def grown(text: Column, source: Column, target: Column, n_hits: Column) -> Column:
    """Characters of a text after a literal replacement."""
    return F.length(text) + n_hits * (F.length(target) - F.length(source))


def numbered(ops: Column) -> Column:
    """Operations with their position as `op_index`."""

    def with_index(op: Column, i: Column) -> Column:
        return F.struct(i.alias("op_index"), *(op[name].alias(name) for name in schemas.OPERATION.names))

    return F.transform(ops, with_index)


def finding(code: DiagnosticCode | Column, op_index: Column, detail: Column) -> Column:
    """One element of FINDINGS."""
    code = F.lit(str(code)) if isinstance(code, DiagnosticCode) else code
    return F.struct(code.alias("code"), op_index.cast("int").alias("op_index"), detail.alias("detail"))


def errors_in(findings: Column) -> Column:
    """Codes of the findings that count towards discarding."""
    return F.transform(F.filter(findings, lambda f: f["code"].isin(_ERRORS)), lambda f: f["code"])


def too_many(errors: Column, limit: int) -> Column:
    """As `execution.count_errors` says it."""
    return F.concat(
        F.size(errors).cast("string"),
        F.lit(f" errors, the limit is {limit}: "),
        F.array_join(F.array_sort(F.array_distinct(errors)), ", "),
    )


def verdict(chunk_index: Column, findings: Column, discarded_for: Column) -> Column:
    """A VERDICT, as `execution.judge` says it."""
    status = (
        F.when(discarded_for.isNotNull(), str(Verdict.DISCARDED))
        .when(F.size(findings) > 0, str(Verdict.APPLIED_WITH_NOTES))
        .otherwise(str(Verdict.APPLIED))
    )
    return F.struct(chunk_index, findings, status, discarded_for).cast(VERDICT)


def printed(op: Column) -> Column:
    """An operation as `str(Operation)` prints it."""
    start, end = op["line_start"].cast("string"), op["line_end"].cast("string")
    lines = F.concat(F.lit("remove_lines(line_start="), start, F.lit(", line_end="), end, F.lit(")"))
    source, target = _quoted(op["source_str"]), _quoted(op["target_str"])
    strings = F.concat(F.lit("normalize(source_str="), source, F.lit(", target_str="), target, F.lit(")"))
    return (
        F.when((op["op"] == str(OpName.REMOVE_LINES)) & op["line_start"].isNull(), "remove_lines(all=True)")
        .when(op["op"] == str(OpName.REMOVE_LINES), lines)
        .when(op["op"] == str(OpName.NORMALIZE), strings)
        .otherwise(F.concat(op["op"], F.lit("()")))
    )


def snippet(text: Column, limit: int = 80) -> Column:
    """As `operations.snippet` cuts it."""

    def cut(text: Column) -> Column:
        head = F.replace(F.substring(text, 1, limit), F.lit("\n"), F.lit("\\n"))
        return F.concat(head, F.when(F.length(text) > limit, "…").otherwise(""))

    return let(text, cut)


def _quoted(text: Column) -> Column:
    escaped = F.coalesce(text, F.lit(""))
    for raw, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        escaped = F.replace(escaped, F.lit(raw), F.lit(written))
    return F.concat(F.lit('"'), escaped, F.lit('"'))
