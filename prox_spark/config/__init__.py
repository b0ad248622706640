"""Recipes: what a run is told. Pure pydantic, no Spark."""

from prox_spark.config.annotation import AnnotationConfig
from prox_spark.config.engine import EngineConfig
from prox_spark.config.file import RecipeFile, Section
from prox_spark.config.fingerprint import fingerprint
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
    "fingerprint",
]
