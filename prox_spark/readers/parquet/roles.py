"""The columns of a file that hold the text, the id, the URL and the source of its documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from prox_spark.errors import RecipeError
from prox_spark.readers.parquet import kinds
from prox_spark.readers.parquet.casts import unwrap_array
from prox_spark.readers.records import ReadOptions

# The path to a value: the number of its column in the file, then numbers of fields and keys of maps.
Way = tuple[int | str, ...]


@dataclass(frozen=True)
class Roles:
    """The paths to the values of documents in a file's columns; None or empty if the file lacks them.

    Attributes:
        text: a column of any type. If it is no text, every row is rejected.
        doc_ids: scalars other than booleans. A row's id is the first that is not null.
        url: a scalar, likewise.
        source: a scalar, likewise.
    """

    text: Way | None
    doc_ids: tuple[Way, ...]
    url: Way | None
    source: Way | None

    def find_used(self, ids_of_file: bool) -> set[int]:
        """Return the columns that need not be carried: those used as a whole, but not ids that are unique within a file only."""
        # The second of two id columns is an id in some rows and a value in others, so it is carried.
        doc_ids = () if ids_of_file else self.doc_ids[:1]
        ways = (self.text, *doc_ids, self.url, self.source)
        return {int(way[0]) for way in ways if way is not None and len(way) == 1}


def find_roles(columns: Sequence[tuple[str, Any]], options: ReadOptions) -> Roles:
    """Find the columns that the recipe names, or those with the default names.

    Args:
        columns: names and types of the columns.
        options: how columns are named.
    """
    named = options.id_column
    doc_ids = (_find_scalar(columns, name) for name in ((named,) if named else ("doc_id", "id")))
    return Roles(
        text=find(columns, options.text_column),
        doc_ids=tuple(way for way in doc_ids if way),
        url=_find_scalar(columns, options.url_column or "url"),
        source=_find_scalar(columns, options.source_column or "source") if options.keep_source else None,
    )


def check_columns(files: Sequence[Sequence[tuple[str, Any]]], options: ReadOptions, path: str) -> list[str]:
    """Check that some file has each column that the recipe names, in a type that fits its role.

    Args:
        files: for each file, names and types of its columns.
        options: how columns are named.
        path: the path that the files were found by.

    Returns:
        Notes about paths into structs that no file has. They are no errors, because a recipe for many data sets may name
        fields that some data sets lack.

    Raises:
        RecipeError: no file has the column, or none has it in a type that fits.
    """
    asked = {
        "text_column": (options.text_column, kinds.is_text_or_null, "string"),
        "id_column": (options.id_column, is_scalar, "a string or a number"),
        "url_column": (options.url_column, is_scalar, "string"),
        "source_column": (options.source_column if options.keep_source else None, is_scalar, "string"),
    }
    notes = []
    for option, (name, accepts, wanted) in asked.items():
        if name is None:
            continue
        found = [find_kind(columns, way) for columns in files if (way := find(columns, name)) is not None]
        if not found and "." in name and option in ("url_column", "source_column"):
            notes.append(f"{path} has nothing at {name!r} (input.{option})")
        elif not found:
            names = dict.fromkeys(column for columns in files for column, _ in columns)
            raise RecipeError(f"{path} has no column {name!r} (input.{option}); it has {', '.join(names)}")
        elif not any(map(accepts, found)):
            kind = kinds.name_kind(found[0])
            raise RecipeError(f"column {name!r} of {path} is {kind}, and must be {wanted} to be input.{option}")
    return notes


def find(columns: Sequence[tuple[str, Any]], name: str) -> Way | None:
    """Return the path to the column of this name, else the field that its dots lead to, else either in other letter case."""
    exactly, any_case = (lambda one: one), str.lower
    for spelt in (exactly, any_case):
        if way := _find_column(columns, name, spelt) or _find_field(columns, name, spelt):
            return way
    return None


def find_kind(columns: Sequence[tuple[str, Any]], way: Way) -> Any:
    """Return the type of the value at a path."""
    kind = columns[int(way[0])][1]
    for step in way[1:]:
        kind = kinds.unwrap(kind)
        kind = kind.item_type if isinstance(step, str) else kind.field(step).type
    return kind


def take_values(columns: Sequence[Any], way: Way) -> Any:
    """Return the values at a path in columns that Arrow has read."""
    values = columns[int(way[0])]
    for step in way[1:]:
        values = unwrap_array(values)
        if isinstance(step, str):
            values = pc.map_lookup(values, pa.scalar(step, values.type.key_type), "first")
        else:
            values = pc.struct_field(values, [step])
    return values


def is_scalar(kind: Any) -> bool:
    """Return True if a value can be an id or a URL. Booleans can't: they tell two documents apart at most."""
    kind = kinds.unwrap(kind)
    return not (kinds.is_nested(kind) or pat.is_boolean(kind))


def _find_scalar(columns: Sequence[tuple[str, Any]], name: str) -> Way | None:
    way = find(columns, name)
    return way if way and is_scalar(find_kind(columns, way)) else None


def _find_column(columns: Sequence[tuple[str, Any]], name: str, spelt: Any) -> Way | None:
    return next(((place,) for place, (column, _) in enumerate(columns) if spelt(column) == spelt(name)), None)


def _find_field(columns: Sequence[tuple[str, Any]], name: str, spelt: Any) -> Way | None:
    """Return the path to the field that a dotted name leads to. Each dot is tried, because names may contain dots, too."""
    for end in (place for place, character in enumerate(name) if character == "."):
        rest = name[end + 1 :]
        for place, (column, kind) in enumerate(columns):
            kind = kinds.unwrap(kind)
            if spelt(column) != spelt(name[:end]):
                continue
            if pat.is_map(kind) and kinds.is_text(kind.key_type):
                return (place, rest)
            fields = [(field.name, field.type) for field in kind] if pat.is_struct(kind) else []
            if below := _find_column(fields, rest, spelt) or _find_field(fields, rest, spelt):
                return (place, *below)
    return None
