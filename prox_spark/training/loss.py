"""What is minimised, and what validation says of it. Imports torch: only `adapt` imports this."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn import functional

from prox_spark.training.examples import Example

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Collator:
    """Turns examples into one padded batch.

    Args:
        pad_id: token that fills up on the right, where no answer attends to it.
        verdict_weight: weight of the first answer token in the document stage.
    """

    pad_id: int
    verdict_weight: float

    def __call__(self, batches: Sequence[Sequence[Example]]) -> Batch:
        """One batch, as the loader hands it over: a list of one.

        Returns:
            `input_ids`: (examples, longest), padded on the right: what causal attention never sees needs no mask, and
            without one it computes half as much. `answers`, `weights`: (examples, longest answer), weight 0 where there is
            none. `places`: of the same shape, the positions whose logits are of these answers. `doubts`, `others`: (examples,),
            the probability that the first token should be another, and which. `line_ends`: (lines, 2),
            example and position; `line_removed`: (lines,).
        """
        (examples,) = batches
        width = max(example.n_tokens for example in examples)
        longest = max(len(example.answer_ids) for example in examples)
        rows, answers, weights, places, line_ends = [], [], [], [], []
        removed: list[bool] = []
        for index, example in enumerate(examples):
            n_pad, n_short = width - example.n_tokens, longest - len(example.answer_ids)
            rows.append([*example.prompt_ids, *example.answer_ids] + [self.pad_id] * n_pad)
            answers.append([*example.answer_ids] + [self.pad_id] * n_short)
            first = self.verdict_weight if example.stage == "doc" else 1.0
            weights.append([first] + [1.0] * (len(example.answer_ids) - 1) + [0.0] * n_short)
            before = len(example.prompt_ids) - 1
            places.append([*range(before, before + len(example.answer_ids))] + [before] * n_short)
            line_ends += [(index, position) for position in example.line_ends]
            removed += example.line_removed
        return {
            "input_ids": torch.tensor(rows),
            "answers": torch.tensor(answers),
            "weights": torch.tensor(weights),
            "places": torch.tensor(places),
            "doubts": torch.tensor([example.doubt for example in examples], dtype=torch.float32),
            "others": torch.tensor([example.other_id for example in examples]),
            "line_ends": torch.tensor(line_ends, dtype=torch.long).reshape(-1, 2),
            "line_removed": torch.tensor(removed, dtype=torch.float32),
        }


@dataclass(frozen=True)
class AnswerLoss:
    """Weighted cross-entropy of the answers, and the second loss on lines.

    Args:
        line_weight: of the second loss; 0: none.
        line_token_ids: the tokens that stand for a line that stays and one that goes, out of the model's own vocabulary, so
            that the second loss needs no weights of its own.
    """

    line_weight: float
    line_token_ids: tuple[int, int]

    def __call__(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs the model.

        Returns:
            The loss to minimise, a scalar, and the logits of the answers, (examples, longest answer, vocabulary).
        """
        answers, weights = batch["answers"], batch["weights"]
        head = getattr(model, "module", model).get_output_embeddings()
        # The vocabulary is as costly as a quarter of the layers: logits only where an example has an answer.
        with _asked_at(head, batch["places"]) as given:
            logits = model(input_ids=batch["input_ids"], use_cache=False).logits.float()
        losses = functional.cross_entropy(logits.transpose(1, 2), answers, reduction="none")
        others = functional.cross_entropy(logits[:, 0], batch["others"], reduction="none")
        first = losses[:, 0].lerp(others, batch["doubts"])
        losses = torch.cat([first[:, None], losses[:, 1:]], dim=1)
        loss = (losses * weights).sum() / weights.sum()
        if self.line_weight > 0 and len(batch["line_ends"]) > 0:
            loss = loss + self.line_weight * self._lines(head.weight, given[0], batch)
        return loss, logits

    def _lines(self, head: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        example, position = batch["line_ends"].unbind(1)
        stays, goes = self.line_token_ids
        margin = hidden[example, position].float() @ (head[goes].float() - head[stays].float())
        return functional.binary_cross_entropy_with_logits(margin, batch["line_removed"])


@contextmanager
def _asked_at(head: torch.nn.Module, places: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """Lets a model's head compute logits of some positions only, which differ by example.

    Args:
        head: the model's last layer.
        places: (examples, positions).

    Yields:
        What goes into the head without that, (examples, longest, hidden size), once the model has run.
    """
    rows = torch.arange(len(places), device=places.device)[:, None]
    given: list[torch.Tensor] = []

    def gather(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        given.append(inputs[0])
        return (inputs[0][rows, places],)

    hook = head.register_forward_pre_hook(gather)
    try:
        yield given
    finally:
        hook.remove()
