"""Writes the generated parts of the reference when the site is built: recipe fields and the columns of the tables.

A page in docs/reference holds a marker such as `<!-- generated: recipe -->`. Neither Spark nor vLLM is imported: recipes are
pydantic models, and the schemas of the tables are read from their source.
"""

from __future__ import annotations

import ast
import html
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[2]
_MARKER = re.compile(r"<!-- generated: ([\w-]+) -->")
_CONSTRAINTS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "min_length": "length at least"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of a page. MkDocs calls it for every page."""
    return _MARKER.sub(lambda marker: _GENERATED[marker[1]](), markdown)


def recipe_fields() -> str:
    """Describe every field of `Recipe`, section by section."""
    _find_package()
    from prox_spark.config import Recipe

    return "\n\n".join(_described(Recipe))


def adapt_recipe_fields() -> str:
    """Describe every field of the recipe of `adapt`."""
    _find_package()
    from prox_spark.training.recipe import AdaptRecipe

    return "\n\n".join(_described(AdaptRecipe))


def _find_package() -> None:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


def _described(model: type[BaseModel]) -> Iterator[str]:
    """Yield the fields that are no sections, then each section under a heading of its own."""
    sections = {name: section for name, field in model.model_fields.items() if (section := _section(field))}
    plain = {name: field for name, field in model.model_fields.items() if name not in sections}
    for name, field in plain.items():
        yield from _field(name, field)
    for name, (section, is_list) in sections.items():
        field = model.model_fields[name]
        yield f"## {name} {{ #{name} }}"
        yield _safe(" ".join((section.__doc__ or "").split()))
        if is_list:
            yield f"A list. {_safe(field.description or '')}"
        yield from _section_fields(name + ("[]" if is_list else ""), section)


def _section_fields(prefix: str, section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield from _field(f"{prefix}.{name}", field)
        inner = _section(field)
        if inner:
            yield from _section_fields(f"{prefix}.{name}" + ("[]" if inner[1] else ""), inner[0])


def _field(name: str, field: FieldInfo) -> Iterator[str]:
    default = "Required." if field.is_required() else f"Default: `{_shown(_default(field))}`."
    yield f"### `{name}` {{ #{name.replace('[]', '')} }}"
    yield f"{_type(field)} {default}"
    yield _safe(field.description or "")


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _shown(value: Any) -> str:
    return "unset" if value is None else json.dumps(value, ensure_ascii=False)


def _type(field: FieldInfo) -> str:
    """The type of a field and its limits, as a sentence fragment that ends with a full stop."""
    limits = [
        f"{words} {getattr(limit, name)}"
        for limit in field.metadata
        for name, words in _CONSTRAINTS.items()
        if getattr(limit, name, None) is not None
    ]
    return f"Type: {', '.join([_type_name(field.annotation), *limits])}."


def _type_name(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (list, tuple):
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"map of {_type_name(arguments[0])} to {_type_name(arguments[1])}"
    if hasattr(kind, "__metadata__"):  # Annotated
        return _type_name(kind.__origin__)
    if arguments:  # a union
        return " or ".join(_type_name(one) for one in arguments if one is not type(None))
    names = {str: "string", int: "integer", float: "number", bool: "boolean", Any: "any value"}
    return names.get(kind) or (
        "section" if isinstance(kind, type) and issubclass(kind, BaseModel) else getattr(kind, "__name__", str(kind))
    )


def _section(field: FieldInfo) -> tuple[type[BaseModel], bool] | None:
    """The section that a field holds, and whether it is a list of them."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind, get_origin(field.annotation) is list
    return None


def _safe(text: str) -> str:
    """Escape what Markdown or its extensions would take for markup outside code."""
    parts = text.split("`")
    escaped = [part if n % 2 else _escaped(part) for n, part in enumerate(parts)]
    return "`".join(escaped)


def _escaped(text: str) -> str:
    text = html.escape(text, quote=False)
    return re.sub(r"[{}*|\[\]]", lambda sign: f"&#{ord(sign[0])};", text)


# --- Tables: the schema modules are read, not imported, because they import pyspark.

_Value = Any


def table_columns() -> str:
    """Describe the columns of every table, from the constants of the package `schemas`."""
    names = _schema_constants()
    tables = [names[name] for name in names["TABLES"]]
    return "\n\n".join(part for table in tables for part in _described_table(table))


def _schema_constants() -> dict[str, _Value]:
    (folder,) = {path.parent for path in (ROOT / "prox_spark").rglob("schemas/table.py")}
    names: dict[str, _Value] = {}
    # A module may use names of another one: repeat until all of them are known.
    statements = [
        (node.targets[0].id, node.value)
        for path in sorted(folder.glob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    waiting = statements
    while waiting:
        left = []
        for name, value in waiting:
            try:
                names[name] = _evaluated(value, names, name)
            except LookupError:
                left.append((name, value))
        if len(left) == len(waiting):
            break  # what is left is no schema
        waiting = left
    return names


def _evaluated(node: ast.expr, names: Mapping[str, _Value], target: str) -> _Value:
    """Evaluate the few expressions that schemas are made of.

    Raises:
        LookupError: it is another expression, or uses a name that is not known yet.
    """
    if target == "TABLES" and isinstance(node, ast.Tuple):
        return [item.id for item in node.elts if isinstance(item, ast.Name) and names[item.id]]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.Tuple | ast.List):
        return [_evaluated(item, names, "") for item in node.elts]
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        values = [_evaluated(argument, names, "") for argument in node.args]
        return _CALLS[called](values, {k.arg: _evaluated(k.value, names, "") for k in node.keywords})
    raise LookupError(ast.dump(node))


_CALLS: dict[str, Callable[[list[_Value], dict[str | None, _Value]], _Value]] = {
    "field": lambda given, _: {"name": given[0], "type": given[1], "comment": given[2]},
    "StructType": lambda given, _: {"fields": given[0]},
    "ArrayType": lambda given, _: {"items": given[0]},
    "MapType": lambda given, _: f"map<{given[0]}, {given[1]}>",
    "Table": lambda given, named: {"name": given[0], "schema": given[1], "key": named["key"]},
    "StringType": lambda *_: "string",
    "LongType": lambda *_: "bigint",
    "IntegerType": lambda *_: "int",
    "DoubleType": lambda *_: "double",
    "BooleanType": lambda *_: "boolean",
    "TimestampType": lambda *_: "timestamp",
    "DateType": lambda *_: "date",
}


def _described_table(table: Mapping[str, Any]) -> Iterator[str]:
    keys = ", ".join(f"`{name}`" for name in table["key"])
    yield f"## {table['name']}"
    yield f"Key: {keys}."
    rows = "\n".join(_rows(table["schema"]["fields"], ""))
    yield f"| column | type | meaning |\n|---|---|---|\n{rows}"


def _rows(fields: list[Mapping[str, Any]], prefix: str) -> Iterator[str]:
    for field in fields:
        kind = field["type"]
        is_array = isinstance(kind, dict) and "items" in kind
        inner = kind["items"] if is_array else kind
        is_struct = isinstance(inner, dict)
        shown = "struct" if is_struct else inner
        yield f"| `{prefix}{field['name']}` | {f'array of {shown}' if is_array else shown} | {_safe(field['comment'])} |"
        if is_struct:
            yield from _rows(inner["fields"], f"{prefix}{field['name']}{'[]' if is_array else ''}.")


_GENERATED: dict[str, Callable[[], str]] = {
    "recipe": recipe_fields,
    "adapt-recipe": adapt_recipe_fields,
    "tables": table_columns,
}
