"""The demo's sample: web pages written for this project, with the noise of extracted pages."""

from pathlib import Path

PAGES = Path(__file__).parent / "pages.jsonl"
