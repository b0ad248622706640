"""The sample of the demo: web pages written for this project, with the noise that extracted pages have."""

from pathlib import Path

PAGES = Path(__file__).parent / "pages.jsonl"
