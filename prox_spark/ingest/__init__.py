"""Readers of input files: bytes in, records and rejections out. Pure Python, no Spark."""

from prox_spark.ingest.files import InputFile, list_files
from prox_spark.ingest.formats import InputFormat, detect_format
from prox_spark.ingest.readers import read_file
from prox_spark.ingest.records import Keys, ReadOptions, Record, Rejected, Skipped

__all__ = [
    "InputFile",
    "InputFormat",
    "Keys",
    "ReadOptions",
    "Record",
    "Rejected",
    "Skipped",
    "detect_format",
    "list_files",
    "read_file",
]
