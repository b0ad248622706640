"""What is learnt in which order, and what it is measured on."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from prox_spark.errors import LabelError
from prox_spark.labels import Label
from prox_spark.programs import OpName
from prox_spark.prompts import PromptBuilder
from prox_spark.refiners.card import RefinerCard, Stage
from prox_spark.training.batches import Source, cut_batches, plan_batches
from prox_spark.training.cards import source_card
from prox_spark.training.examples import Example, ExampleBuilder
from prox_spark.training.recipe import AdaptRecipe

STAGES: tuple[Stage, ...] = ("doc", "chunk")


@dataclass(frozen=True)
class TrainingData:
    """Batches to learn, batches to measure on.

    Attributes:
        batches: one per step and accumulation.
        validation: held-out examples in batches of like length.
        n_available: examples there are, thinned out by `uniform`, by set and stage, those of a set that is named twice counted twice;
            training may see fewer, or some repeatedly.
        line_token_ids: tokens that stand for a line that stays and one that goes: those their programs begin with.
        verdict_token_ids: first tokens of the keep and the drop answer; None where there is no document stage.
    """

    batches: Sequence[Sequence[Example]]
    validation: Sequence[Sequence[Example]]
    n_available: dict[str, int]
    line_token_ids: tuple[int, int]
    verdict_token_ids: tuple[int, int] | None

    @cached_property
    def n_seen(self) -> dict[str, int]:
        """Examples in the batches, repetitions counted, by set and stage."""
        return dict(Counter(_name(example) for batch in self.batches for example in batch))

    @cached_property
    def n_tokens(self) -> int:
        """Tokens in the batches, padding not counted."""
        return sum(example.n_tokens for batch in self.batches for example in batch)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every token that is learnt or measured, in order."""
        digest = hashlib.sha256()
        for example in (
            example for batches in (self.batches, self.validation) for batch in batches for example in batch
        ):
            ids = [len(example.prompt_ids), *example.prompt_ids, *example.answer_ids]
            digest.update(struct.pack(f"<{len(ids)}I", *ids))
        return digest.hexdigest()

    @classmethod
    def of(
        cls,
        recipe: AdaptRecipe,
        labels: Mapping[str, Sequence[Label]],
        taught_by: RefinerCard,
        served: RefinerCard,
        tokenizer_json: str,
        end_id: int,
    ) -> TrainingData:
        """Makes examples of the labels of a recipe and plans their order.

        Args:
            recipe: which labels, how many steps.
            labels: of each of its places.
            taught_by: prompts and limits of what is learnt.
            served: those of the result, which it is measured with.
            tokenizer_json: contents of tokenizer.json.
            end_id: the token that ends an answer.

        Raises:
            LabelError: a source holds nothing for the stages that it is for.
            RecipeError: the changes of a source make no valid card.
        """

        def builders_of(of: RefinerCard) -> dict[Stage, ExampleBuilder]:
            return {
                stage: ExampleBuilder(
                    PromptBuilder(of, stage, "", tokenizer_json), end_id, recipe.optimiser.score_noise
                )
                for stage in STAGES
                if getattr(of.tasks, stage)
            }

        sources, n_available = [], Counter[str]()
        for source in recipe.labels:
            own = builders_of(source_card(taught_by, source))
            examples = _thinned(_examples(labels[source.path], own, source.stages), source.uniform)
            if not examples:
                raise LabelError(
                    f"{source.path} holds no label for the stages {' and '.join(source.stages)} of {served.name}: take it out, or change `stages` or `uniform`"
                )
            n_available.update(map(_name, examples))
            sources.append(Source(examples, source.share))
        optimiser = recipe.optimiser
        n_batches = optimiser.steps * optimiser.accumulate
        batches = plan_batches(sources, optimiser.tokens_per_step, n_batches, optimiser.seed)
        builders = builders_of(served)
        any_builder = next(iter(builders.values())).prompts
        words = (OpName.KEEP_CHUNK, OpName.REMOVE_LINES)
        stays, goes = (any_builder.tokenizer.encode(word, add_special_tokens=False).ids[0] for word in words)
        verdicts = builders["doc"].prompts.verdict_token_ids if "doc" in builders else None
        return cls(batches, _validation(recipe, labels, builders), dict(n_available), (stays, goes), verdicts)

    def __str__(self) -> str:
        """Sizes, for the log."""
        sets = ", ".join(f"{name}: {self.n_seen.get(name, 0):,} of {n:,}" for name, n in self.n_available.items())
        n_validation = sum(map(len, self.validation))
        return f"{len(self.batches):,} batches, {self.n_tokens:,} tokens ({sets}), {n_validation:,} examples to validate on"


def _name(example: Example) -> str:
    return f"{example.label_set} {example.stage}"


def _examples(
    labels: Iterable[Label], builders: dict[Stage, ExampleBuilder], stages: Sequence[Stage]
) -> Iterator[Example]:
    for stage in stages:
        if stage in builders:
            yield from builders[stage].examples(labels)


def _thinned(examples: Iterable[Example], uniform: float) -> list[Example]:
    """All examples but a part of the uniform ones."""
    random = Random(0)
    return [example for example in examples if not example.uniform or random.random() < uniform]


def _validation(
    recipe: AdaptRecipe, labels: Mapping[str, Sequence[Label]], builders: dict[Stage, ExampleBuilder]
) -> list[list[Example]]:
    wanted = recipe.checkpoints
    chosen: list[Example] = []
    for path in wanted.validation:
        for stage in STAGES:
            # In a fixed order of its own: another seed of training is measured on the same examples.
            examples = list(_examples(labels[path], builders, [stage]))
            chosen += Random(0).sample(examples, min(wanted.validation_examples, len(examples)))
    if wanted.validation and not chosen:
        raise LabelError(f"{', '.join(wanted.validation)}: no label of use; take other files as checkpoints.validation")
    return cut_batches(chosen, recipe.optimiser.tokens_per_step)
