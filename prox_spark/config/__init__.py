"""Recipes, the settings of a run. Pure pydantic, no Spark."""

from prox_spark.config.annotation import AnnotationConfig
from prox_spark.config.beside import BesideConfig
from prox_spark.config.corpora import Corpus, find_corpus, list_corpora, load_corpus
from prox_spark.config.engine import EngineConfig
from prox_spark.config.file import RecipeFile, Section
from prox_spark.config.recipe import (
    ApplyConfig,
    GenerationConfig,
    InputConfig,
    LakeConfig,
    Recipe,
    RefinerConfig,
    SelfTestConfig,
    SparkConfig,
    WaveConfig,
)

__all__ = [
    "AnnotationConfig",
    "ApplyConfig",
    "BesideConfig",
    "Corpus",
    "EngineConfig",
    "GenerationConfig",
    "InputConfig",
    "LakeConfig",
    "Recipe",
    "RecipeFile",
    "RefinerConfig",
    "Section",
    "SelfTestConfig",
    "SparkConfig",
    "WaveConfig",
    "find_corpus",
    "list_corpora",
    "load_corpus",
]
