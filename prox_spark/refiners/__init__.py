from prox_spark.refiners.card import RefinerCard, Stage
from prox_spark.refiners.registry import Refiner, find, is_shipped, list_refiners

__all__ = ["Refiner", "RefinerCard", "Stage", "find", "is_shipped", "list_refiners"]
