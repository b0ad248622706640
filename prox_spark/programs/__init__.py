"""Refining programs: reading what a model wrote, carrying it out on a document, and reading one off a pair of texts.

Pure Python, no Spark.
"""

from prox_spark.programs.execution import (
    ChunkDiagnostic,
    ChunkProgram,
    ChunkVerdict,
    Execution,
    Gates,
    Normalization,
    RemovedSpan,
    Verdict,
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
from prox_spark.programs.verdict import DocVerdict, parse_verdict

__all__ = [
    "ChunkDiagnostic",
    "ChunkProgram",
    "ChunkVerdict",
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
    "RemovedSpan",
    "Severity",
    "Verdict",
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
