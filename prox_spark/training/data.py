"""The examples of a training run: batches to learn in their order, batches to validate on."""

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
from prox_spark.prompts import ChunkPrompts, VerdictPrompts
from prox_spark.refiners.card import RefinerCard, Stage
from prox_spark.training.batches import Source, cut_batches, plan_batches
from prox_spark.training.card_changes import make_source_card
from prox_spark.training.examples import ChunkExamples, Example, ExampleBuilder, VerdictExamples
from prox_spark.training.recipe import AdaptRecipe

STAGES: tuple[Stage, ...] = ("doc", "chunk")


@dataclass(frozen=True)
class TrainingData:
    """Batches to learn and batches to validate on.

    Attributes:
        batches: one per step and accumulation.
        validation: held-out examples in batches of like length.
        n_available: number of examples by set and stage, after thinning out by `uniform`. A set that is named twice counts
            twice. Training may see fewer, or see some repeatedly.
        line_token_ids: first tokens of the programs that keep and that remove a line; they stand for such lines.
        verdict_token_ids: first tokens of the keep and the drop answer; None without a document stage.
    """

    batches: Sequence[Sequence[Example]]
    validation: Sequence[Sequence[Example]]
    n_available: dict[str, int]
    line_token_ids: tuple[int, int]
    verdict_token_ids: tuple[int, int] | None

    @cached_property
    def n_seen(self) -> dict[str, int]:
        """Number of examples in the batches by set and stage; a repeated one counts each time."""
        return dict(Counter(_name_set(example) for batch in self.batches for example in batch))

    @cached_property
    def n_tokens(self) -> int:
        """Number of tokens in the batches, without padding."""
        return sum(example.n_tokens for batch in self.batches for example in batch)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every token of the batches, in order."""
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
        """Make examples of the labels of a recipe and plan their order.

        Args:
            recipe: its sources and number of steps count here.
            labels: the labels at each place that the recipe names.
            taught_by: card with the prompts and limits of the training examples.
            served: card of the result, for the validation examples.
            tokenizer_json: contents of tokenizer.json.
            end_id: the token that ends an answer.

        Raises:
            LabelError: a source has no example for its stages.
            RecipeError: the changes of a source make no valid card.
        """

        def make_builders(card: RefinerCard) -> dict[Stage, ExampleBuilder]:
            builders: dict[Stage, ExampleBuilder] = {}
            if card.tasks.doc:
                prompts = VerdictPrompts(card, "", tokenizer_json)
                builders["doc"] = VerdictExamples(prompts, end_id, recipe.optimiser.score_noise)
            if card.tasks.chunk:
                builders["chunk"] = ChunkExamples(ChunkPrompts(card, "", tokenizer_json), end_id)
            return builders

        sources, n_available = [], Counter[str]()
        for source in recipe.labels:
            own = make_builders(make_source_card(taught_by, source))
            examples = _thin_out(_build_examples(labels[source.path], own, source.stages), source.uniform)
            if not examples:
                raise LabelError(
                    f"{source.path} holds no label for the stages {' and '.join(source.stages)} of {served.name}: take it out, or change `stages` or `uniform`"
                )
            n_available.update(map(_name_set, examples))
            sources.append(Source(examples, source.share))
        optimiser = recipe.optimiser
        n_batches = optimiser.steps * optimiser.accumulate
        batches = plan_batches(sources, optimiser.tokens_per_step, n_batches, optimiser.seed)
        builders = make_builders(served)
        any_builder = next(iter(builders.values())).prompts
        words = (OpName.KEEP_CHUNK, OpName.REMOVE_LINES)
        stays, goes = (any_builder.tokenizer.encode(word, add_special_tokens=False).ids[0] for word in words)
        verdicts = VerdictPrompts(served, "", tokenizer_json).verdict_token_ids if served.tasks.doc else None
        return cls(batches, _draw_validation(recipe, labels, builders), dict(n_available), (stays, goes), verdicts)

    def __str__(self) -> str:
        """Return the sizes, for the log."""
        sets = ", ".join(f"{name}: {self.n_seen.get(name, 0):,} of {n:,}" for name, n in self.n_available.items())
        n_validation = sum(map(len, self.validation))
        return f"{len(self.batches):,} batches, {self.n_tokens:,} tokens ({sets}), {n_validation:,} examples to validate on"


def _name_set(example: Example) -> str:
    return f"{example.label_set} {example.stage}"


def _build_examples(
    labels: Iterable[Label], builders: dict[Stage, ExampleBuilder], stages: Sequence[Stage]
) -> Iterator[Example]:
    for stage in stages:
        if stage in builders:
            yield from builders[stage].build_examples(labels)


def _thin_out(examples: Iterable[Example], uniform: float) -> list[Example]:
    """Return all examples except a random part of the uniform ones."""
    random = Random(0)
    return [example for example in examples if not example.uniform or random.random() < uniform]


def _draw_validation(
    recipe: AdaptRecipe, labels: Mapping[str, Sequence[Label]], builders: dict[Stage, ExampleBuilder]
) -> list[list[Example]]:
    wanted = recipe.checkpoints
    chosen: list[Example] = []
    for path in wanted.validation:
        for stage in STAGES:
            # With a seed of its own, so that runs with other seeds are validated on the same examples.
            examples = list(_build_examples(labels[path], builders, [stage]))
            chosen += Random(0).sample(examples, min(wanted.validation_examples, len(examples)))
    if wanted.validation and not chosen:
        raise LabelError(f"{', '.join(wanted.validation)}: no label of use; take other files as checkpoints.validation")
    return cut_batches(chosen, recipe.optimiser.tokens_per_step)
