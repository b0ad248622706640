"""Figures of a model under training on held-out examples. Cheap: no text is generated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from prox_spark.quality.documents import compute_auc
from prox_spark.training.examples import Example
from prox_spark.training.loss import AnswerLoss, Collator


@dataclass(frozen=True)
class Validation:
    """A function that measures a model on held-out examples.

    Args:
        batches: the examples, in batches.
        collator: makes the tensors of a batch.
        loss: runs the model.
        verdict_ids: first tokens of the keep and the drop answer; None without a document stage.
    """

    batches: Sequence[Sequence[Example]]
    collator: Collator
    loss: AnswerLoss
    verdict_ids: tuple[int, int] | None

    @torch.no_grad()
    def __call__(self, model: torch.nn.Module) -> dict[str, float]:
        """Measure a model.

        Returns:
            For each set and stage `<set>_<stage>_loss`, in nats per answer token (in the document stage nats of the deciding
            token), and `<set>_doc_auc`; `loss` is the mean of these losses.
        """
        device = next(model.parameters()).device
        nats: dict[str, list[float]] = defaultdict(list)
        tokens: dict[str, list[int]] = defaultdict(list)
        verdicts: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        for batch in self.batches:
            tensors = {name: tensor.to(device) for name, tensor in self.collator([batch]).items()}
            _, logits = self.loss(model, tensors)
            log_probs = functional.log_softmax(logits, dim=-1)
            # Copied to the CPU at once: reading single numbers from a GPU waits for it each time.
            picked = log_probs.gather(2, tensors["answers"][:, :, None])[:, :, 0].cpu()
            first = log_probs[:, 0, list(self.verdict_ids or ())].cpu()
            for row, example in enumerate(batch):
                name = f"{example.label_set}_{example.stage}"
                counted = 1 if example.stage == "doc" else len(example.answer_ids)
                nats[name].append(-float(picked[row, :counted].sum()))
                tokens[name].append(counted)
                if example.keep is not None and self.verdict_ids:
                    keep, drop = first[row].tolist()
                    verdicts[name].append((keep - drop, example.keep))
        losses = {f"{name}_loss": sum(nats[name]) / sum(tokens[name]) for name in nats}
        aucs = {f"{name}_auc": _compute_auc(scores) for name, scores in verdicts.items()}
        return {"loss": sum(losses.values()) / len(losses), **losses, **aucs}


def _compute_auc(scored: Sequence[tuple[float, bool]]) -> float:
    """Return the AUC of pairs (margin of keep over drop, whether to keep); 0.5 if all are to keep or all to drop."""
    margin, keep = (np.array(column) for column in zip(*scored, strict=True))
    found = compute_auc(keep, -margin)
    return 0.5 if found is None else found
