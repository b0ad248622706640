"""The two stages of a recipe. Each is a refiner, its prompts and its engine, ready to be sent to executors."""

from __future__ import annotations

from dataclasses import dataclass, replace

from prox_spark.config import ApplyConfig, EngineConfig, Recipe
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import RecipeError
from prox_spark.fingerprint import fingerprint
from prox_spark.pipeline.asking.settings import Settings
from prox_spark.programs.grammar import PROGRAM_GRAMMAR
from prox_spark.prompts import ChunkPrompts, PromptBuilder, VerdictPrompts
from prox_spark.refiners import Refiner, Stage, find
from prox_spark.refiners.adapters import check_rank
from prox_spark.refiners.build import build, tokenizer_json
from prox_spark.runs.run import Run
from prox_spark.udfs.generate import Generate, VerdictTokens


def prepare_engine(refiner: Refiner, engine: EngineConfig, asks: bool = True) -> EngineSpec:
    """Return the spec of an engine, after building its refiner on the driver, so that executors need not.

    Args:
        refiner: the model.
        engine: its settings.
        asks: whether the run asks the model. If it does not, or an endpoint has the model, only the tokenizer is needed.

    Raises:
        RefinerError: it can't be built.
        RecipeError: the engine would not take its adapter.
    """
    spec = EngineSpec(refiner, engine)
    if asks and not engine.endpoint:
        if spec.adapter and engine.max_lora_rank:
            check_rank(refiner, engine.max_lora_rank)
        build(spec.served)
        _ = spec.settings_key  # Cached here: executors then need not read the base to compute it.
    return spec


@dataclass(frozen=True)
class RefinerStage:
    """One stage of a run: who is asked, with which prompts, and how executors ask."""

    refiner: Refiner
    builder: PromptBuilder
    generate: Generate

    @classmethod
    def of(cls, recipe: Recipe, stage: Stage, asks: bool = True) -> RefinerStage:
        """Return the stage that a recipe describes, with its refiner built if the run asks it.

        Raises:
            RefinerError: the refiner is unknown, can't be built or does not serve the stage.
        """
        refiner = find(getattr(recipe.refiners, stage))
        card = refiner.card
        _ = card.task(stage)  # It is refused before it is built.
        spec = prepare_engine(refiner, recipe.engine, asks)
        text = tokenizer_json(spec.served).read_text(encoding="utf-8")
        if stage == "doc":
            verdicts = VerdictPrompts(card, refiner.model_fingerprint, text)
            verdict_tokens = VerdictTokens(*verdicts.verdict_token_ids, card.doc.keep, card.doc.drop)
            return cls(refiner, verdicts, Generate(spec, verdicts.sampling, verdict_tokens, stage=stage))
        grammar = PROGRAM_GRAMMAR if recipe.generation.grammar else None
        chunks = ChunkPrompts(card, refiner.model_fingerprint, text, grammar, recipe.generation.packing)
        return cls(refiner, chunks, Generate(spec, chunks.sampling, stage=stage))

    def in_its_own_words(self) -> RefinerStage:
        """Return the stage without a grammar or fixed answers: what the model writes of its own accord."""
        builder = self.builder.without_constraints()
        return replace(
            self, builder=builder, generate=replace(self.generate, parameters=builder.sampling, verdict_tokens=None)
        )


def settle_run(run: Run, recipe: Recipe, asks: bool = True) -> tuple[RefinerStages, Settings]:
    """Return the stages and the settings of a run under a recipe, and tell the run of the settings.

    Raises:
        RefinerError: as `RefinerStages.of`.
        RecipeError: the thresholds contradict each other.
    """
    stages = RefinerStages.of(recipe, asks)
    settings = stages.settle(recipe)
    run.settle(settings.recipe, settings.fingerprint)
    return stages, settings


@dataclass(frozen=True)
class RefinerStages:
    """The document stage and the chunk stage of a run."""

    doc: RefinerStage
    chunk: RefinerStage

    @classmethod
    def of(cls, recipe: Recipe, asks: bool = True) -> RefinerStages:
        """Return the stages that a recipe describes, with their refiners built if the run asks them.

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

    def settle(self, recipe: Recipe) -> Settings:
        """Return what a run under a recipe does: the thresholds that the recipe leaves open come from the refiner's card.

        Raises:
            RecipeError: the thresholds contradict each other.
        """
        threshold = recipe.apply.drop_threshold
        if threshold is None:
            threshold = self.doc.refiner.card.doc.drop_threshold
        below = threshold if recipe.generation.chunk_below is None else recipe.generation.chunk_below
        if below < threshold:
            raise RecipeError(
                f"generation.chunk_below = {below:g} is under the drop threshold {threshold:g}: documents between the two would be "
                "kept without a chunk program. Raise it, or leave it unset"
            )
        complete = recipe.model_copy(
            update={
                "apply": recipe.apply.model_copy(update={"drop_threshold": threshold}),
                "generation": recipe.generation.model_copy(update={"chunk_below": below}),
            }
        )
        return Settings(complete, threshold, below, self._fingerprint(complete.apply))

    def _fingerprint(self, apply: ApplyConfig) -> str:
        """Return the SHA-256 over all that decides what a document becomes: models, prompts, sampling, semantics, thresholds."""
        stages = [
            (stage.builder.model_fingerprint, stage.builder.prompt_fingerprint, stage.builder.sampling)
            for stage in (self.doc, self.chunk)
        ]
        # `strict` once counted words by white space alone and blanked texts in scripts without any. Those are refined again.
        counts = ["letters of scripts without blanks are words"] if apply.semantics == "strict" else []
        return fingerprint(stages, apply.model_dump(), *counts)
