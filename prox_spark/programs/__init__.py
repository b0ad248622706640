"""Refining programs: parsing a model's answer, executing it on a document, and inducing a program from a pair of texts.

Pure Python, no Spark.
"""

from prox_spark.programs.doc_verdict import DocVerdict, parse_verdict
from prox_spark.programs.execution import (
    ChunkDiagnostic,
    ChunkOutcome,
    ChunkProgram,
    Execution,
    Gates,
    Normalization,
    ProgramStatus,
    RemovedSpan,
)
from prox_spark.programs.induction.induction import Induction, induce
from prox_spark.programs.induction.leftovers import Leftover, LeftoverKind
from prox_spark.programs.operations import (
    Diagnostic,
    DiagnosticCode,
    DocumentStatus,
    Operation,
    OpName,
    Program,
    Severity,
    print_program,
)
from prox_spark.programs.parser import parse
from prox_spark.programs.reference import execute_reference, read_reference, run_reference
from prox_spark.programs.strict import execute, execute_chunks

__all__ = [
    "ChunkDiagnostic",
    "ChunkOutcome",
    "ChunkProgram",
    "Diagnostic",
    "DiagnosticCode",
    "DocVerdict",
    "DocumentStatus",
    "Execution",
    "Gates",
    "Induction",
    "Leftover",
    "LeftoverKind",
    "Normalization",
    "OpName",
    "Operation",
    "Program",
    "ProgramStatus",
    "RemovedSpan",
    "Severity",
    "execute",
    "execute_chunks",
    "execute_reference",
    "induce",
    "parse",
    "parse_verdict",
    "print_program",
    "read_reference",
    "run_reference",
]
