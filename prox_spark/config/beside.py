"""Files that lie beside those of the documents: the `input.beside` entries of a recipe."""

from __future__ import annotations

from pydantic import Field

from prox_spark.config.file import Section


class BesideConfig(Section):
    """JSON Lines: a second file for each file of documents, of the same documents; what it says of one becomes a column."""

    column: str = Field(min_length=1, description="Column that takes it.")
    path: dict[str, str] = Field(
        min_length=1,
        description="How the other file's path is made of that of the documents: what to replace, where it comes last in the path, by what. "
        "A folder `*` is every folder there, and the objects that several files hold of a document become one.",
    )
    key: str = Field(
        "id",
        description="Key of the other file's rows that holds the id; a document is found by its own key of this name, else by its doc_id.",
    )
    value: str | None = Field(
        None,
        description="Key of the other file's rows whose value is carried. Unset: the file lists documents, and the column is true for "
        "those in it and false for all others.",
    )
    not_for: str | None = Field(
        None, description="Names of files of documents that have none beside them, a glob such as `*_tail.json.gz`."
    )
