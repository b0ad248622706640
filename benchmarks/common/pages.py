"""Web-like texts made of the demo pages' vocabulary: the same for the same seed, and free of copyright."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

from prox_spark.demo import PAGES

# Many for the windows of gzip (32 KiB) and zstd (2 MiB): texts that repeat within them would compress too well.
N_SENTENCES = 40_000
# Lengths of web pages are log-normal; these give a mean of 1,700 characters and a few pages of 100,000.
_MEDIAN_CHARS, _SIGMA, _MAX_CHARS = 1_000, 1.0, 200_000
# Number of sentences that one page is made of.
_SUBJECT = 60
# Languages: share of documents, and the letters that replace those of an English sentence.
_LATIN = "abcdefghijklmnoprstuvyz"
_SCRIPTS = {
    "en": (0.72, ""),
    "de": (0.10, "äbcdëfghijklmnöprstüvyz"),
    "ru": (0.09, "абцдефгхийклмнопрстувыз"),
    "el": (0.04, "αβγδεφγηιξκλμνοπρστυβψζ"),
    "zh": (0.05, "的一是不了人我在有他这中大来上国个到说们为子和"),
}


class Pages:
    """Documents by number: the same number and seed give the same document."""

    def __init__(self, seed: int) -> None:
        """Make the sentences of all documents."""
        self.seed = seed
        rng = random.Random(f"{seed} sentences")
        lines = _lines()
        weights = [*accumulate(map(len, lines))]
        english = [_sentence(rng, lines, weights) for _ in range(N_SENTENCES)]
        self._sentences = {language: [*map(_in_script(language), english)] for language in _SCRIPTS}

    def document(self, number: int) -> dict[str, Any]:
        """Return a document with the keys of web data sets."""
        rng = random.Random(f"{self.seed} document {number}")
        language = rng.choices([*_SCRIPTS], [share for share, _ in _SCRIPTS.values()])[0]
        host = f"{rng.choice(('www', 'blog', 'news', 'shop'))}.site-{rng.randrange(20_000)}.example"
        day = f"20{rng.randrange(13, 26)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
        return {
            "id": f"<urn:uuid:{rng.getrandbits(128):032x}>",
            "text": "\n".join(self.paragraphs(rng, language)),
            "url": f"https://{host}/{day.replace('-', '/')}/page-{number}.html",
            "date": f"{day}T{rng.randrange(24):02}:{rng.randrange(60):02}:00Z",
            "dump": f"CC-MAIN-{day[:4]}-{rng.randrange(5, 53):02}",
            "language": language,
            "language_score": round(rng.uniform(0.65, 1.0), 4),
            "meta": {
                "status": 200,
                "charset": "utf-8",
                "warc": {"file": f"segment-{number % 97:03}.warc.gz", "offset": rng.randrange(1 << 30)},
                "labels": rng.sample(("forum", "news", "shop", "reference", "blog"), rng.randrange(4)),
            },
        }

    def paragraphs(self, rng: random.Random, language: str = "en") -> Iterator[str]:
        """Yield the lines of one page: headings and menus of a few words, paragraphs of a few sentences."""
        # A page keeps to its subject and repeats some sentences.
        start = rng.randrange(N_SENTENCES - _SUBJECT)
        sentences = self._sentences[language][start : start + _SUBJECT]
        left = min(rng.lognormvariate(math.log(_MEDIAN_CHARS), _SIGMA), _MAX_CHARS)
        # A script without blanks says the same in a third of the characters.
        left = left / 3 if language == "zh" else left
        while left > 0:
            whole = rng.choices(sentences, k=rng.choice((1, 2, 3, 4, 5)))
            line = " ".join(whole) if rng.random() < 0.7 else whole[0][: rng.randrange(8, 60)].rstrip()
            left -= len(line) + 1
            yield line

    def some_sentences(self, rng: random.Random, n: int) -> list[str]:
        """Return n random English sentences."""
        return rng.choices(self._sentences["en"], k=n)


def _lines() -> list[list[str]]:
    """Return the lines of the demo's pages as lists of words."""
    lines: list[list[str]] = []
    for page in PAGES.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            text = json.loads(page).get("text") or ""
        except ValueError:  # the sample has broken records on purpose
            continue
        lines += [line.split() for line in text.split("\n") if line.strip()]
    return lines


def _sentence(rng: random.Random, lines: list[list[str]], weights: list[int]) -> str:
    """Make a sentence of runs of words from several places of the demo."""
    words: list[str] = []
    for line in rng.choices(lines, cum_weights=weights, k=rng.choice((1, 2, 3, 4))):
        start = rng.randrange(len(line))
        words += line[start : start + rng.randrange(2, 9)]
    sentence = " ".join(words).rstrip(".,;:!?")
    if rng.random() < 0.08:
        sentence = f"“{sentence}”"
    return sentence[:1].upper() + sentence[1:] + rng.choice((".", ".", ".", ".", "!", "?", " — …", " 🙂"))


def _in_script(language: str) -> Callable[[str], str]:
    letters = _SCRIPTS[language][1]
    table = str.maketrans(_LATIN + _LATIN.upper(), letters + letters.upper()) if letters else {}
    blanks = {" ": "", ".": "。"} if language == "zh" else {}
    return lambda sentence: sentence.translate(table | str.maketrans(blanks))
