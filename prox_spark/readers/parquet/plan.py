"""The plan for reading the Parquet files of an input: one schema for all of them, and tasks of about equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from prox_spark.readers.parquet.folders import find_folder_kind, parse_folder_value, read_folder_values
from prox_spark.readers.parquet.footers import Footer, merge_bounds, read_bounds, read_footers
from prox_spark.readers.parquet.kinds import STRING
from prox_spark.readers.parquet.pieces import Piece, cut_files, deal_pieces
from prox_spark.readers.parquet.roles import Roles, check_columns, find_roles
from prox_spark.readers.parquet.unify import UNKNOWN, Bounds, Seen, count_leaves, make_distinct, unify
from prox_spark.readers.records import ReadOptions


@dataclass(frozen=True)
class ParquetFolder:
    """Parquet files that were found under one path of the recipe.

    Attributes:
        path: their name in messages.
        source: source of documents that have none of their own.
        uris: the files.
        root: folder below which folders called `name=value` are columns; None if there are no such folders.
    """

    path: str
    source: str
    uris: tuple[str, ...]
    root: str | None = None


@dataclass(frozen=True)
class Layout:
    """How the columns of some files become those of documents.

    Attributes:
        names: names of the columns; those in the names of folders come last.
        roles: the columns of text, id, URL and source.
        carried: for each field of `ReadPlan.carried` the number of its column; None if these files lack it.
        folders: names and types of the columns in the names of folders.
        old_calendar: see `Footer`.
    """

    names: tuple[str, ...]
    roles: Roles
    carried: tuple[int | None, ...]
    folders: tuple[tuple[str, Any], ...]
    old_calendar: bool


@dataclass(frozen=True)
class ReadPlan:
    """The plan that executors read by.

    Attributes:
        options: how columns are named, and limits.
        layouts: the layouts that files have.
        carried: struct type of the carried columns, with the input's own names; None if no column is carried.
        tasks: the pieces of each task.
        notes: sentences about columns that are carried in another type than their files have.
    """

    options: ReadOptions
    layouts: tuple[Layout, ...]
    carried: Any
    tasks: tuple[tuple[Piece, ...], ...]
    notes: list[str] = field(default_factory=list)


@dataclass
class _Group:
    """Files with the same columns."""

    columns: list[tuple[str, Any]]
    folders: tuple[tuple[str, Any], ...]
    footers: list[Footer]
    roles: Roles

    @property
    def uris(self) -> list[str]:
        return [footer.uri for footer in self.footers]


def plan_reading(folders: Sequence[ParquetFolder], options: ReadOptions, n_slots: int) -> ReadPlan:
    """Read the footers of all files, and find the type of each column that holds the values of all files.

    Args:
        folders: at least one.
        options: how columns are named, and limits.
        n_slots: number of tasks that run at the same time.

    Raises:
        RecipeError: no file has a column that the recipe names, or its type does not fit its role.
    """
    # A file that two paths match is read once.
    found = {uri: folder for folder in folders for uri in folder.uris}
    footers, broken = read_footers(list(found))
    values = {uri: read_folder_values(uri, folder.root) for uri, folder in found.items()}
    groups = _group(footers, values, options)
    filled = [group for group in groups if any(footer.n_rows for footer in group.footers)]
    notes = check_columns([group.columns for group in filled], options, folders[0].path) if filled else []
    carried, notes_on_types = _unify_columns(groups, options)
    notes += [*notes_on_types, *_note_shadowed(groups, values), *_note_empty(footers)]
    group_of = {footer.uri: (number, group) for number, group in enumerate(groups) for footer in group.footers}
    layouts = [_lay_out(group, carried, options) for group in groups]
    pieces = [Piece(uri, found[uri].source, problem=why) for uri, why in broken.items()]
    for footer, rows, n_bytes in cut_files(footers, n_slots):
        number, group = group_of[footer.uri]
        of_folders = tuple(parse_folder_value(values[footer.uri][name], kind) for name, kind in group.folders)
        pieces.append(Piece(footer.uri, found[footer.uri].source, number, rows, n_bytes, of_folders))
    struct = pa.struct([pa.field(name, kind) for name, kind in carried.items()]) if carried else None
    return ReadPlan(options, tuple(layouts), struct, tuple(map(tuple, deal_pieces(pieces, n_slots))), notes)


def _note_shadowed(groups: Iterable[_Group], values: dict[str, dict[str, str | None]]) -> list[str]:
    names = {name for group in groups for name in values[group.uris[0]] if name not in dict(group.folders)}
    return [
        f"column {name} is in files and in the names of their folders: what the files have is carried"
        for name in sorted(names)
    ]


def _note_empty(footers: Sequence[Footer]) -> list[str]:
    empty = [footer.uri for footer in footers if not footer.n_rows]
    if not empty:
        return []
    return [f"{len(empty):,} of {len(footers):,} Parquet files have no rows, such as {empty[0]}"]


def _group(footers: Iterable[Footer], values: dict[str, dict[str, str | None]], options: ReadOptions) -> list[_Group]:
    by_name: dict[str, list[str | None]] = {}
    for of_file in values.values():
        for name, value in of_file.items():
            by_name.setdefault(name, []).append(value)
    folder_kinds = {name: find_folder_kind(found) for name, found in by_name.items()}
    groups: dict[Any, _Group] = {}
    for footer in footers:
        key = (id(footer.schema), footer.old_calendar, tuple(values[footer.uri]))
        if key not in groups:
            names = make_distinct(footer.schema.names)
            columns = list(zip(names, footer.schema.types, strict=True))
            # A column of the file itself takes precedence over its folder's name.
            of_folders = tuple((name, folder_kinds[name]) for name in values[footer.uri] if name not in names)
            columns += of_folders
            groups[key] = _Group(columns, of_folders, [], find_roles(columns, options))
        groups[key].footers.append(footer)
    return list(groups.values())


def _unify_columns(groups: list[_Group], options: ReadOptions) -> tuple[dict[str, Any], list[str]]:
    """Return the types of the carried columns by name, and notes about them."""
    known: dict[tuple[int, int], Bounds] = {}
    while True:
        asked: set[tuple[int, int]] = set()

        def bounds(number: int, leaf: int, asked: set[tuple[int, int]] = asked) -> Bounds:
            if (number, leaf) not in known:
                asked.add((number, leaf))
            return known.get((number, leaf), UNKNOWN)

        notes: list[str] = []
        seen = _collect_seen(groups, options, bounds)
        carried = {
            name: STRING if name in options.as_json else unify(name, kinds_seen, notes)
            for name, kinds_seen in seen.items()
        }
        if not asked:
            return carried, notes
        # If footers are read a second time, the bounds of all columns are read at once.
        for number, group in enumerate(groups):
            known.update(_read_asked(number, group, {leaf for one, leaf in asked if one == number}))


def _collect_seen(groups: list[_Group], options: ReadOptions, bounds: Any) -> dict[str, list[Seen]]:
    seen: dict[str, list[Seen]] = {}
    for number, group in enumerate(groups):
        used = group.roles.find_used(options.ids_of_file)
        n_own = len(group.columns) - len(group.folders)
        leaf = 0
        for place, (name, kind) in enumerate(group.columns):
            if place not in used:
                of_group = (lambda leaf, number=number: bounds(number, leaf)) if place < n_own else (lambda _: UNKNOWN)
                seen.setdefault(name, []).append(Seen(kind, group.uris[0].rsplit("/", 1)[-1], of_group, leaf))
            leaf += count_leaves(kind)
    return seen


def _read_asked(number: int, group: _Group, leaves: set[int]) -> dict[tuple[int, int], Bounds]:
    if not leaves:
        return {}
    in_footers = {leaf for leaf in leaves if all(leaf in footer.bounds for footer in group.footers)}
    found = {leaf: merge_bounds(footer.bounds[leaf] for footer in group.footers) for leaf in in_footers}
    if rest := sorted(leaves - in_footers):
        found |= read_bounds(group.uris, rest)
    return {(number, leaf): bounds for leaf, bounds in found.items()}


def _lay_out(group: _Group, carried: dict[str, Any], options: ReadOptions) -> Layout:
    used = group.roles.find_used(options.ids_of_file)
    places = {name: place for place, (name, _) in enumerate(group.columns) if place not in used}
    return Layout(
        names=tuple(name for name, _ in group.columns),
        roles=group.roles,
        carried=tuple(places.get(name) for name in carried),
        folders=group.folders,
        old_calendar=group.footers[0].old_calendar,
    )
