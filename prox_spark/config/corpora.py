"""Corpora: partial recipes for published data sets, applied beneath a user's recipe. Pure pydantic, no Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from prox_spark.config.file import RecipeFile, read_yaml
from prox_spark.config.recipe import InputConfig
from prox_spark.errors import RecipeError
from prox_spark.paths import CONF

_SUFFIX = ".yaml"


class Corpus(RecipeFile):
    """Layout and column names of a published data set."""

    name: str = Field(description="Name for --corpus, and for a recipe without a name of its own.")
    description: str = Field("", description="What the data set is and how its files are stored.")
    licence: str = Field("", description="Licence as the publisher states it.")
    layout: list[str] = Field(
        default_factory=list, description="URLs of the cards and loaders that the settings were taken from."
    )
    input: InputConfig = Field(description="Settings that differ from their defaults.")


def corpora_folder() -> Path:
    """Return the folder of the corpora that come with prox_spark."""
    return CONF / "corpora"


def list_corpora() -> list[Corpus]:
    """Return the corpora that come with prox_spark, by name."""
    corpora = [Corpus.parse(read_yaml(file), str(file)) for file in corpora_folder().glob(f"*{_SUFFIX}")]
    return sorted(corpora, key=lambda corpus: corpus.name)


def load_corpus(name: str) -> dict[str, Any]:
    """Read the settings of a corpus.

    Args:
        name: name of a corpus that comes with prox_spark, or the path of a file like theirs.

    Returns:
        Sections of a recipe with only the fields that the file sets.

    Raises:
        RecipeError: there is no such corpus, or its file is not valid.
    """
    data = read_yaml(find_corpus(name))
    corpus = Corpus.parse(data, f"the corpus {name}")
    return {"name": corpus.name, "input": data["input"]}


def find_corpus(name: str) -> Path:
    """Return the file of a corpus.

    Raises:
        RecipeError: there is no such corpus; the message lists those that exist.
    """
    if "/" in name or name.endswith((_SUFFIX, ".yml")):
        return Path(name)
    file = corpora_folder() / f"{name}{_SUFFIX}"
    if not file.is_file():
        known = ", ".join(sorted(file.stem for file in corpora_folder().glob(f"*{_SUFFIX}")))
        raise RecipeError(
            f"no corpus {name!r}; known are {known}, or give --corpus the path of a file like those in {corpora_folder()}"
        )
    return file
