"""Labels from a teacher: what it is asked, and what is made of its answers. No Spark."""

from prox_spark.annotation.drafts import Draft, Rejection, StoredAnswer, draft_chunk, draft_document
from prox_spark.annotation.questions import QUESTIONS, Question

__all__ = ["QUESTIONS", "StoredAnswer", "Draft", "Question", "Rejection", "draft_chunk", "draft_document"]
