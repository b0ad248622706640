"""The two stages of a recipe: a refiner, its prompts and its engine, ready to be sent to executors."""

from __future__ import annotations

from dataclasses import dataclass, replace

from prox_spark.config import EngineConfig, Recipe
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import RecipeError
from prox_spark.fingerprint import fingerprint
from prox_spark.programs.grammar import PROGRAM_GRAMMAR
from prox_spark.prompts import PromptBuilder
from prox_spark.refiners import Refiner, Stage, find
from prox_spark.refiners.adapters import check_rank
from prox_spark.refiners.build import build, tokenizer_json
from prox_spark.refiners.card import DocTask
from prox_spark.udfs.generate import Generate, Verdict


def ready(refiner: Refiner, engine: EngineConfig, asks: bool = True) -> EngineSpec:
    """An engine spec whose refiner is built on the driver, lest each executor fail to.

    Args:
        refiner: the model.
        engine: its settings.
        asks: will it be asked. Where it is not, or an endpoint has the model, only its tokenizer is needed.

    Raises:
        RefinerError: it can't be built.
        RecipeError: the engine would not take its adapter.
    """
    spec = EngineSpec(refiner, engine)
    if asks and not engine.endpoint:
        if spec.adapter and engine.max_lora_rank:
            check_rank(refiner, engine.max_lora_rank)
        build(spec.served)
        _ = spec.settings_key  # its prints go to the executors with it: there the base need not be read
    return spec


@dataclass(frozen=True)
class RefinerStage:
    """One stage of a run."""

    refiner: Refiner
    builder: PromptBuilder
    generate: Generate

    @classmethod
    def of(cls, recipe: Recipe, stage: Stage, asks: bool = True) -> RefinerStage:
        """The stage as the recipe says, its refiner built where it will be asked.

        Raises:
            RefinerError: the refiner is unknown, can't be built or does not serve the stage.
        """
        refiner = find(getattr(recipe.refiners, stage))
        task = refiner.card.task(stage)
        spec = ready(refiner, recipe.engine, asks)
        builder = PromptBuilder(
            refiner.card,
            stage,
            refiner.model_fingerprint,
            tokenizer_json(spec.served).read_text(encoding="utf-8"),
            grammar=PROGRAM_GRAMMAR if recipe.generation.grammar and stage == "chunk" else None,
            packing=recipe.generation.packing,
        )
        verdict = Verdict(*builder.verdict_token_ids, task.keep, task.drop) if isinstance(task, DocTask) else None
        return cls(refiner, builder, Generate(spec, builder.sampling, verdict, stage=stage))

    def in_its_own_words(self) -> RefinerStage:
        """The stage with answers that are held to nothing: what the model would write by itself."""
        builder = replace(self.builder, grammar=None, free_verdict=self.builder.stage == "doc")
        return replace(
            self, builder=builder, generate=replace(self.generate, parameters=builder.sampling, verdict=None)
        )


@dataclass(frozen=True)
class RefinerStages:
    """Both stages."""

    doc: RefinerStage
    chunk: RefinerStage

    @classmethod
    def of(cls, recipe: Recipe, asks: bool = True) -> RefinerStages:
        """The stages of a recipe, their refiners built where they will be asked.

        Raises:
            RefinerError: as for one stage.
            RecipeError: an endpoint is to serve two models under one name.
        """
        doc, chunk = RefinerStage.of(recipe, "doc", asks), RefinerStage.of(recipe, "chunk", asks)
        model = recipe.engine.endpoint_model
        if (
            recipe.engine.endpoint
            and isinstance(model, str)
            and doc.builder.model_fingerprint != chunk.builder.model_fingerprint
        ):
            raise RecipeError(
                f"engine.endpoint_model = {model!r} is one model, and the refiners {doc.refiner.card.name} and "
                f"{chunk.refiner.card.name} are two: set it to {{doc: NAME, chunk: NAME}}, or leave it unset where the endpoint "
                "serves both by these names"
            )
        return cls(doc, chunk)

    def completed(self, recipe: Recipe) -> Recipe:
        """The recipe with what it leaves to the refiners' cards and its own other fields: thresholds."""
        task = self.doc.refiner.card.task("doc")
        assert isinstance(task, DocTask)
        threshold = task.drop_threshold if recipe.apply.drop_threshold is None else recipe.apply.drop_threshold
        below = threshold if recipe.generation.chunk_below is None else recipe.generation.chunk_below
        if below < threshold:
            raise RecipeError(
                f"generation.chunk_below = {below:g} is under the drop threshold {threshold:g}: documents between the two would be "
                "kept without a chunk program. Raise it, or leave it unset"
            )
        return recipe.model_copy(
            update={
                "apply": recipe.apply.model_copy(update={"drop_threshold": threshold}),
                "generation": recipe.generation.model_copy(update={"chunk_below": below}),
            }
        )

    def fingerprint(self, recipe: Recipe) -> str:
        """SHA-256 over all that decides what a document becomes: models, prompts, sampling, semantics, thresholds.

        Args:
            recipe: completed.
        """
        stages = [
            (stage.builder.model_fingerprint, stage.builder.prompt_fingerprint, stage.builder.sampling)
            for stage in (self.doc, self.chunk)
        ]
        # What was made when strict counted words by white space alone was blanked in scripts without any: it is made anew.
        counts = ["letters of scripts without blanks are words"] if recipe.apply.semantics == "strict" else []
        return fingerprint(stages, recipe.apply.model_dump(), *counts)
