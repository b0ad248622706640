"""The loss on real torch, with a tiny random Llama."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_llama import write_tiny_llama

from prox_spark.training.examples import Example

pytestmark = pytest.mark.unit


def test_loss_of_a_padded_batch_is_that_of_its_examples_one_by_one(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from prox_spark.training.loss import AnswerLoss, Collator

    write_tiny_llama(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    examples = [
        Example("chunk", "a", range(5, 35), [40, 41, 42, 2], line_ends=[9, 19, 29], line_removed=[True, False, False]),
        Example("chunk", "a", range(50, 60), [43, 2], line_ends=[4, 8], line_removed=[True, True]),
        Example("doc", "b", range(60, 80), [44, 45], keep=True),
    ]
    collator = Collator(pad_id=0, verdict_weight=4.0)
    answers = AnswerLoss(0.0, (11, 12))

    def expected(example: Example) -> torch.Tensor:
        """Cross-entropy of each answer token, by the model's own loss without padding."""
        ids = torch.tensor([[*example.prompt_ids, *example.answer_ids]])
        logits = model(input_ids=ids).logits[0, len(example.prompt_ids) - 1 : -1]
        return torch.nn.functional.cross_entropy(logits, torch.tensor(example.answer_ids), reduction="none")

    with torch.no_grad():
        loss, logits = answers(model, collator([examples]))
        nats = [expected(example) for example in examples]
        nats[2] *= torch.tensor([4.0, 1.0])
        torch.testing.assert_close(loss, torch.cat(nats).sum() / (4 + 2 + 5))
        assert logits.shape == (3, 4, model.config.vocab_size)

        both = AnswerLoss(0.5, (11, 12))(model, collator([examples]))[0]
        alone = [
            AnswerLoss(1.0, (11, 12))(model, collator([[e]]))[0] - answers(model, collator([[e]]))[0] for e in examples
        ]
        torch.testing.assert_close(both - loss, 0.5 * (3 * alone[0] + 2 * alone[1]) / 5)
        assert alone[2] == 0
