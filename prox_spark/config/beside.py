"""Files beside those of the documents: the `input.beside` entries of a recipe."""

from __future__ import annotations

from pydantic import Field

from prox_spark.config.file import Section


class BesideConfig(Section):
    """JSON Lines: another file for each file of documents, about the same documents. Its values become a column."""

    column: str = Field(min_length=1, description="Name of the new column.")
    path: dict[str, str] = Field(
        min_length=1,
        description="How to derive the other file's path from that of the documents' file: for each key, its last occurrence in the path is "
        "replaced by the value. A folder `*` stands for every folder there; the objects that several files hold for a document are "
        "merged.",
    )
    key: str = Field(
        "id",
        description="Key of the other file's rows that holds the document's id. It is matched with the document's own key of this name, else "
        "with its doc_id.",
    )
    value: str | None = Field(
        None,
        description="Key of the other file's rows whose value becomes the column. Unset: the file is a list of documents, and the column is "
        "true for those listed and false for all others.",
    )
    not_for: str | None = Field(
        None,
        description="Glob of the names of document files that have no other file, such as `*_tail.json.gz`.",
    )
