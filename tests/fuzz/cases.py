"""Random answers and documents for the fuzzer. A case depends on its seed and number alone, so that it can be repeated."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from random import Random

from prox_spark.programs.grammar import PROGRAM
from prox_spark.programs.notation import CharClass, Choice, Expression, Literal, Repeat, Rule, Sequence

# Characters that the lexer or another reader of text treats as more than a letter.
TELLING = "()[]{}=,;:#'`\"\\\t \r\n\v\f\0\x1c\x85\u2028\u2029\u200b\xa0\ufeffé日🚂٣²_-.0\ud800\udc80\udfff"
# Fragments of the language and of what models write around it, so that many answers get past their first token.
PIECES = [
    "remove_lines(",
    "remove_lines(line_start=",
    ", line_end=",
    "start=",
    "end=",
    "all=True",
    "normalize(",
    'normalize(source_str="',
    '", target_str="',
    'target="',
    "source_str='",
    '")',
    "')",
    "keep_chunk()",
    "untouch_doc()",
    "keep_doc()",
    "drop_doc()",
    "Drop_Doc()",
    "remove_lines(1, 2)\n",
    'normalize("the", "a")\n',
    "delete_lines(3)",
    "```",
    "```python\n",
    "# why",
    "\n",
    "\r\n",
    ";",
    ", ",
    ")",
    "(",
    '"',
    "'",
    "\\",
    '\\"',
    "0",
    "7",
    "-1",
    "10**12",
    "99999999999",
    "1e9",
    "True",
    "None",
    "Sure! Here is the program:\n",
    " the words ",
]
# Largest length of random bytes and of runs: some 8,000 tokens, many times the limit of refiners.
MAX_CHARS = 32_768
_NUMBER = re.compile(r"[0-9]{1,6}")
_STRING = re.compile(r"[\"']([^\"'\n]{2,40})[\"']")
DECODINGS: list[Callable[[bytes], str]] = [
    lambda data: data.decode("utf-8", "replace"),
    lambda data: data.decode("utf-8", "surrogateescape"),
    lambda data: data.decode("latin-1"),
    lambda data: data.decode("utf-16-le", "surrogatepass") if len(data) % 2 == 0 else data.decode("cp437"),
    lambda data: data.decode("utf-32-le", "replace"),
]


@dataclass(frozen=True)
class Case:
    """One input: an answer, its document, and the lines that it may touch."""

    kind: str
    answer: str
    text: str
    lines: range


def make_case(seed: int, number: int) -> Case:
    """Make the case of a number."""
    random = Random((seed << 48) | number)
    kind, make = random.choice(KINDS)
    answer = make(random)
    text = document(random, answer)
    n_lines = text.count("\n") + 1
    if random.random() < 0.7:
        answer = aim(answer, random, n_lines)
    start = random.choice((0, 0, random.randrange(n_lines)))
    stop = random.choice((n_lines, n_lines, random.randint(start, n_lines + 2)))
    return Case(kind, answer, text, range(start, stop))


def size(random: Random) -> int:
    """Choose a length: mostly tens, every thirtieth time up to the longest."""
    return int(2 ** random.uniform(0, log2(MAX_CHARS) if random.random() < 1 / 30 else 8))


def character(random: Random) -> str:
    """Make a text of any code points, including lone surrogates; half of them are of TELLING."""
    if random.random() < 0.5:
        return random.choice(TELLING)
    return chr(random.randrange(0x110000) if random.random() < 0.3 else random.randrange(0x20, 0x7F))


def noise(random: Random) -> str:
    """Decode random bytes in one of several ways."""
    return random.choice(DECODINGS)(random.randbytes(size(random)))


def runs(random: Random) -> str:
    """Repeat a few pieces many times, which makes a reader with a nested loop slow."""
    parts = [
        random.choice((random.choice(PIECES), character(random))) * size(random) for _ in range(random.randint(1, 4))
    ]
    return "".join(parts)[:MAX_CHARS]


def soup(random: Random) -> str:
    """Join fragments of the language in any order."""
    return "".join(random.choices(PIECES, k=random.randint(1, 40)))


def derived(random: Random) -> str:
    """Make a program of the grammar, mostly one that edits."""
    answer = derive(PROGRAM, random)
    return derive(PROGRAM, random) if answer == "keep_chunk()" else answer


def mutated(random: Random) -> str:
    """Make a program or a soup with some changes."""
    answer = random.choice((derived, derived, soup))(random)
    for _ in range(random.randint(1, 6)):
        answer = mutate(answer, random)
    return answer


KINDS: list[tuple[str, Callable[[Random], str]]] = [
    ("bytes", noise),
    ("runs", runs),
    ("soup", soup),
    ("derived", derived),
    ("mutated", mutated),
    ("mutated", mutated),
]


def derive(expression: Expression, random: Random) -> str:
    """Derive a text of the language of an expression."""
    match expression:
        case Literal(text):
            return text
        case Rule(_, body):
            return derive(body, random)
        case Sequence(parts):
            return "".join(derive(part, random) for part in parts)
        case Choice(options):
            return derive(random.choice(options), random)
        case Repeat(item, at_least, at_most):
            more = int(random.expovariate(0.2))
            n = at_least + (more if at_most is None else min(more, at_most - at_least))
            return "".join(derive(item, random) for _ in range(n))
        case CharClass(spans, negated):
            if not negated:
                first, last = random.choice(spans)
                return chr(random.randint(ord(first), ord(last)))
            while True:
                found = character(random)
                if not any(first <= found <= last for first, last in spans):
                    return found


def mutate(text: str, random: Random) -> str:
    """Make one change at a random position."""
    start = random.randint(0, len(text))
    stop = min(len(text), start + int(random.expovariate(0.2)))
    match random.randrange(8):
        case 0:
            return text[:start]
        case 1:
            return text[:start] + text[stop:]
        case 2:
            return text[:stop] + text[start:stop] * random.randint(1, 40) + text[stop:]
        case 3:
            return text[:start] + random.choice(PIECES) + text[stop:]
        case 4:
            return text[:start] + text[start:stop].swapcase() + text[stop:]
        case 5:
            return text[:start] + str(random.randrange(10 ** random.randint(1, 30))) + text[stop:]
        case 6:
            return text[start:] + text[:start]
        case _:
            return text[:start] + character(random) + text[stop:]


def aim(answer: str, random: Random, n_lines: int) -> str:
    """Replace most line numbers of an answer by rising ones that the document has."""
    line = 0

    def number(found: re.Match[str]) -> str:
        nonlocal line
        line = line + random.randrange(4) if line < n_lines else random.randrange(n_lines)
        return str(line)

    return _NUMBER.sub(number, answer)


def document(random: Random, answer: str) -> str:
    """Make a document with strings of the answer in it, so that some replacements find their source."""
    if random.random() < 0.03:
        return noise(random)
    if random.random() < 0.02:
        return random.choice(("", " ", "\n\n", "\r\n\t\u2003"))
    words = ["the", "a", "words", "é日", "\u2028", "\r", "x" * random.randint(1, 30)]
    words += _STRING.findall(answer[:2_000])[:10]
    start = random.randint(0, len(answer))
    words.append(answer[start : start + random.randint(1, 12)])
    n_lines = size(random) if random.random() < 0.1 else random.randint(1, 30)
    n_lines = min(n_lines, 5_000)
    lines = [" ".join(random.choices(words, k=random.randint(0, 12))) for _ in range(min(n_lines, 40))]
    return "\n".join((lines * (n_lines // len(lines) + 1))[:n_lines])
