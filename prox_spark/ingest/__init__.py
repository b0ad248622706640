"""Readers of input files: bytes in, records and rejections out. Pure Python, no Spark."""

from prox_spark.ingest.bystanders import PassedOver, describe_passed_over
from prox_spark.ingest.detection import detect_formats
from prox_spark.ingest.files import InputFile
from prox_spark.ingest.formats import InputFormat
from prox_spark.ingest.listing import Listing, list_files
from prox_spark.ingest.readers import read_file
from prox_spark.ingest.records import Keys, ReadOptions, Record, Rejected, Skipped

__all__ = [
    "InputFile",
    "InputFormat",
    "Keys",
    "Listing",
    "PassedOver",
    "ReadOptions",
    "Record",
    "Rejected",
    "Skipped",
    "describe_passed_over",
    "detect_formats",
    "list_files",
    "read_file",
]
