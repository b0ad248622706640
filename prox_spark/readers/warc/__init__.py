"""Readers of WARC (pages as the crawler got them) and WET (texts that the crawl's publishers extracted)."""

from prox_spark.readers.warc.pages import html_to_text
from prox_spark.readers.warc.reader import read_warc, read_wet

__all__ = ["html_to_text", "read_warc", "read_wet"]
