"""Labels from a teacher: the questions, and the labels made of its answers. No Spark."""

from prox_spark.annotation.drafts import Draft, Rejection, StoredAnswer, draft_chunk, draft_document
from prox_spark.annotation.questions import QUESTIONS, Question

__all__ = ["QUESTIONS", "Draft", "Question", "Rejection", "StoredAnswer", "draft_chunk", "draft_document"]
