"""The loss of training and validation. Imports torch: only `adapt` imports this."""

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
    """A function that turns examples into one padded batch.

    Args:
        pad_id: token to pad with, on the right, where no answer attends to it.
        verdict_weight: loss weight of the first answer token in the document stage.
    """

    pad_id: int
    verdict_weight: float

    def __call__(self, batches: Sequence[Sequence[Example]]) -> Batch:
        """Make the tensors of one batch.

        Args:
            batches: as the loader passes them, a list of one.

        Returns:
            `input_ids`: (examples, longest), padded on the right. There is no mask: causal attention never sees the
            padding, and without a mask it computes half as much. `answers`, `weights`: (examples, longest answer), weight 0
            for padding. `places`: same shape, the positions whose logits predict these answers. `doubts`, `others`:
            (examples,), the probability that another first token is right, and that token. `line_ends`: (lines, 2),
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
    """Weighted cross-entropy of the answers plus the second loss, on lines.

    Args:
        line_weight: weight of the second loss; 0 for none.
        line_token_ids: tokens of the vocabulary that stand for a line that stays and for one that is removed, so that the
            second loss needs no weights of its own.
    """

    line_weight: float
    line_token_ids: tuple[int, int]

    def __call__(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the model.

        Returns:
            The loss to minimise, a scalar, and the logits of the answers, (examples, longest answer, vocabulary).
        """
        answers, weights = batch["answers"], batch["weights"]
        head = getattr(model, "module", model).get_output_embeddings()
        # The vocabulary costs as much as a quarter of the layers, so logits are computed only at the answers.
        with _logits_only_at(head, batch["places"]) as given:
            logits = model(input_ids=batch["input_ids"], use_cache=False).logits.float()
        losses = functional.cross_entropy(logits.transpose(1, 2), answers, reduction="none")
        others = functional.cross_entropy(logits[:, 0], batch["others"], reduction="none")
        first = losses[:, 0].lerp(others, batch["doubts"])
        losses = torch.cat([first[:, None], losses[:, 1:]], dim=1)
        loss = (losses * weights).sum() / weights.sum()
        if self.line_weight > 0 and len(batch["line_ends"]) > 0:
            loss = loss + self.line_weight * self._line_loss(head.weight, given[0], batch)
        return loss, logits

    def _line_loss(self, head: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        example, position = batch["line_ends"].unbind(1)
        stays, goes = self.line_token_ids
        margin = hidden[example, position].float() @ (head[goes].float() - head[stays].float())
        return functional.binary_cross_entropy_with_logits(margin, batch["line_removed"])


@contextmanager
def _logits_only_at(head: torch.nn.Module, places: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """Make a model's head compute logits at some positions only, which differ by example.

    Args:
        head: the model's last layer.
        places: (examples, positions).

    Yields:
        The full input of the head, (examples, longest, hidden size), filled in when the model has run.
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
