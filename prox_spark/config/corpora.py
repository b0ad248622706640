"""Corpora: partial recipes for published data sets, which lie under a user's recipe. Pure pydantic, no Spark."""

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
    """How the files of a published data set lie, and what its columns are called."""

    name: str = Field(description="What --corpus calls it, and the name of a recipe that has none.")
    description: str = Field("", description="What it is and how its files are stored.")
    licence: str = Field("", description="As its publisher says.")
    layout: list[str] = Field(
        default_factory=list, description="URLs of the cards and loaders that the settings are taken from."
    )
    input: InputConfig = Field(description="The settings that differ from their defaults.")


def corpora_folder() -> Path:
    """Return the folder of the corpora that come with prox_spark."""
    return CONF / "corpora"


def known_corpora() -> list[Corpus]:
    """The corpora that come with prox_spark, by name."""
    corpora = [Corpus.parse(read_yaml(file), str(file)) for file in corpora_folder().glob(f"*{_SUFFIX}")]
    return sorted(corpora, key=lambda corpus: corpus.name)


def load_corpus(name: str) -> dict[str, Any]:
    """Reads what a corpus sets.

    Args:
        name: of one that comes with prox_spark, or the path of a file of the same kind.

    Returns:
        The sections of a recipe, holding only what the file has.

    Raises:
        RecipeError: no such corpus, or not a valid one.
    """
    data = read_yaml(find_corpus(name))
    corpus = Corpus.parse(data, f"the corpus {name}")
    return {"name": corpus.name, "input": data["input"]}


def find_corpus(name: str) -> Path:
    """The file of a corpus.

    Raises:
        RecipeError: no such corpus; the message lists those that there are.
    """
    if "/" in name or name.endswith((_SUFFIX, ".yml")):
        return Path(name)
    file = corpora_folder() / f"{name}{_SUFFIX}"
    if not file.is_file():
        known = ", ".join(sorted(file.stem for file in corpora_folder().glob(f"*{_SUFFIX}")))
        raise RecipeError(f"no corpus {name!r}; known are {known}, or give the path of a file like those (--corpus)")
    return file
