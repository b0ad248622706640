"""Readers of input files. They turn bytes into records and rejections, in pure Python and without Spark."""

from prox_spark.readers.bystanders import PassedOver, describe_passed_over
from prox_spark.readers.detection import detect_formats
from prox_spark.readers.files import InputFile
from prox_spark.readers.listing import Listing, list_files
from prox_spark.readers.records import Keys, ReadOptions, Record, Rejected, Skipped
from prox_spark.readers.registry import InputFormat, read_file

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
