"""Tables that Spark's own readers read: Delta, and Parquet in stores that can't be listed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.errors import ReasonCode, RecipeError
from prox_spark.lake.types import fit_type, to_string
from prox_spark.pipeline.inputs.naming import quote
from prox_spark.readers.parquet.roles import Way, check_columns, find_roles
from prox_spark.readers.records import SNIPPET_CHARS, ReadOptions
from prox_spark.spark_versions import with_arrow_column
from prox_spark.udfs.words import count_words_or_null

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Columns that are null for rows of a table, which has no order, no headers, no skipped records and no JSON.
_ABSENT = {"ordinal": "bigint", "metadata": "map<string, string>", "n_skipped": "bigint", "keys": "string"}
# A double holds every whole number up to this one exactly.
_EXACT = 1 << 53


def map_table(table: DataFrame, path: str, source: str, options: ReadOptions, notes: list[str]) -> DataFrame:
    """Map the columns of a table to those of `prox_spark.udfs.ingest.ROWS`.

    Args:
        table: rows as they were read.
        path: where the rows come from; it names the table in messages.
        source: source of documents that have none of their own.
        options: names of columns, and limits.
        notes: gets a sentence for each column that the recipe names and the table lacks.

    Returns:
        One row per row of the table, with `carried` as a struct of the table's own names, or a null string.

    Raises:
        RecipeError: a column that the recipe names is missing, or can't be what it is named for.
    """
    fields = table.schema.fields
    columns = [(field.name, _sketch(field.dataType)) for field in fields]
    notes += check_columns([columns], options, path)
    roles = find_roles(columns, options)
    if roles.text is None:
        raise RecipeError(f"{path} has no column {options.text_column!r} (input.text_column)")
    text = _reach_value(fields, roles.text)[0].cast("string")
    doc_ids = (F.nullif(_write_id(*_reach_value(fields, way)), F.lit("")) for way in roles.doc_ids)
    doc_id = F.coalesce(*doc_ids, _make_null("string"))
    url, own_source = (
        _make_valid_utf8(_reach_value(fields, way)[0].cast("string")) if way else _make_null("string")
        for way in (roles.url, roles.source)
    )
    used = roles.find_used(options.ids_of_file)
    carried = [_carry(field, options).alias(field.name) for place, field in enumerate(fields) if place not in used]
    all_carried = F.struct(*carried) if carried else _make_null("string")
    rows = table.select(
        (F.concat(F.lit(f"{path}#"), doc_id) if options.ids_of_file else doc_id).alias("own_id"),
        text.alias("raw_text"),
        # A row without text is identified by its other values.
        F.sha2(F.coalesce(text, F.to_json(all_carried) if carried else _make_null("string")), 256).alias(
            "content_sha256"
        ),
        url.alias("url"),
        F.coalesce(F.nullif(own_source, F.lit("")), F.lit(source)).alias("source"),
        F.struct(F.lit(path), F.lit(None), F.lit(None)).cast(schemas.PROVENANCE.simpleString()).alias("provenance"),
        all_carried.alias("carried"),
        _find_rejection(text, doc_id, options).alias("rejection"),
        *(_make_null(kind).alias(name) for name, kind in _ABSENT.items()),
    )
    is_document = F.col("rejection").isNull()
    derived_id = F.sha2(F.concat(F.coalesce("url", F.lit("")), F.lit("\n"), "raw_text"), 256)
    mapped = rows.withColumns(
        {
            "doc_id": F.when(is_document, F.coalesce("own_id", derived_id)).otherwise(F.col("own_id")),
            "reason": F.col("rejection.reason"),
            "message": F.col("rejection.message"),
            "text": F.when(is_document, F.col("raw_text")),
            "snippet": F.when(~is_document, _make_valid_utf8(F.substring("raw_text", 1, SNIPPET_CHARS))),
        }
    ).drop("own_id", "raw_text", "rejection")
    return with_arrow_column(mapped, "n_words", count_words_or_null, T.LongType(), F.col("text"))


def _carry(field: T.StructField, options: ReadOptions) -> Column:
    value = fit_type(F.col(quote(field.name)), field.dataType)
    if field.name not in options.as_json:
        return value
    has_parts = isinstance(field.dataType, (T.StructType, T.ArrayType, T.MapType))
    return F.to_json(value) if has_parts else to_string(value)


def _sketch(kind: T.DataType) -> Any:
    """Return an Arrow type that tells the readers what a column can be: nested, text, or another value."""
    if isinstance(kind, T.StructType):
        return pa.struct([pa.field(field.name, _sketch(field.dataType)) for field in kind.fields])
    if isinstance(kind, T.MapType):
        return pa.map_(_sketch(kind.keyType), _sketch(kind.valueType))
    if isinstance(kind, T.ArrayType):
        return pa.list_(_sketch(kind.elementType))
    if kind.typeName() in ("variant", "boolean"):
        return pa.bool_()  # Neither can be an id, a URL or a source.
    known = ((T.StringType, pa.string()), (T.BinaryType, pa.binary()), (T.NullType, pa.null()))
    return next((sketch for cls, sketch in known if isinstance(kind, cls)), pa.int64())


def _reach_value(fields: Sequence[T.StructField], way: Way) -> tuple[Column, T.DataType]:
    field = fields[int(way[0])]
    value, kind = F.col(quote(field.name)), field.dataType
    for step in way[1:]:
        if isinstance(step, str):
            value, kind = value.getItem(step), kind.valueType
        else:
            value, kind = value.getField(kind.fields[step].name), kind.fields[step].dataType
    return value, kind


def _write_id(value: Column, kind: T.DataType) -> Column:
    """Return ids as text, as `readers.parquet.identity` does."""
    written = value.cast("string")
    if isinstance(kind, (T.FloatType, T.DoubleType)):
        number = value.cast("double")
        is_whole = (F.abs(number) <= _EXACT) & (F.floor(number) == number)
        return F.when(~F.isnan(number), F.when(is_whole, number.cast("bigint").cast("string")).otherwise(written))
    if isinstance(kind, T.BinaryType):
        is_printable = _is_valid_utf8(written) & ~written.rlike(r"\p{C}")
        return F.when(is_printable, written).otherwise(F.lower(F.hex(value)))
    return written


def _find_rejection(text: Column, doc_id: Column, options: ReadOptions) -> Column:
    def reject(reason: ReasonCode, message: Column) -> Column:
        return F.struct(F.lit(str(reason)).alias("reason"), message.alias("message"))

    name = options.text_column
    too_long = F.format_string(
        f"the text has %,d characters, more than input.max_text_chars = {options.max_text_chars:,}", F.length(text)
    )
    rejection = (
        F.when(text.isNull(), reject(ReasonCode.NULL_TEXT, F.lit(f"{name!r} is null")))
        .when(~_is_valid_utf8(text), reject(ReasonCode.INVALID_UTF8, F.lit(f"{name!r} is not valid UTF-8")))
        .when(F.length(text) > options.max_text_chars, reject(ReasonCode.TEXT_TOO_LONG, too_long))
        .when(~_is_valid_utf8(doc_id), reject(ReasonCode.INVALID_UTF8, F.lit("the id is not valid UTF-8")))
    )
    if options.id_column:
        message = F.lit(f"no id in {options.id_column!r} (input.id_column)")
        rejection = rejection.when(doc_id.isNull(), reject(ReasonCode.INVALID_RECORD, message))
    return rejection


def _make_null(kind: str) -> Column:
    return F.lit(None).cast(kind)


def _is_valid_utf8(text: Column) -> Column:
    # Writers may put any bytes into a string column, and Spark passes them on. Spark 4.0 has the function. In 3.5, decode()
    # replaces wrong bytes by U+FFFD.
    if hasattr(F, "is_valid_utf8"):
        return F.is_valid_utf8(text)
    return F.encode(F.decode(text.cast("binary"), "UTF-8"), "UTF-8") == text.cast("binary")


def _make_valid_utf8(text: Column) -> Column:
    return F.make_valid_utf8(text) if hasattr(F, "make_valid_utf8") else F.decode(text.cast("binary"), "UTF-8")
