from __future__ import annotations

import pytest

from prox_spark import schemas

pytestmark = pytest.mark.unit


def test_the_comments_by_which_word_counts_are_recognized_stay() -> None:
    """Tables keep the comment that they were made with: under another one their counts would no longer be used."""
    assert schemas.DOCUMENTS.schema["n_words"].metadata["comment"] == (
        "words of the text: what white space separates, each letter by itself in scripts without blanks; "
        "null in rows of an older lake"
    )
    assert schemas.N_WORDS_BY_WHITE_SPACE == (
        "words of the text as Python's str.split() counts them; null in rows of an older lake"
    )


@pytest.mark.parametrize("table", schemas.TABLES, ids=lambda table: table.name)
def test_every_column_has_a_comment(table: schemas.Table) -> None:
    assert all(column.metadata["comment"] for column in table.schema)


def test_a_document_key_names_columns_of_every_table_that_is_read_by_it() -> None:
    for table in (schemas.DOCUMENTS, schemas.PROGRAMS, schemas.REFINED, schemas.QUARANTINE, schemas.LABELS):
        assert set(schemas.DOCUMENT_KEY) <= set(table.columns)
