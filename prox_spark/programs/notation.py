"""Grammars as data: expressions, and the EBNF text that an engine decodes under.

A rule holds its body and expressions are immutable, so no rule can refer to itself: every language that can be written
here is regular.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A text that stands for itself."""

    text: str


@dataclass(frozen=True, slots=True)
class CharClass:
    """One character out of the spans (both ends included), or one outside all of them where `negated`."""

    spans: tuple[tuple[str, str], ...]
    negated: bool = False

    @classmethod
    def none_of(cls, characters: Iterable[str]) -> "CharClass":
        """Return the class of any character but these."""
        return cls(tuple((character, character) for character in characters), negated=True)


@dataclass(frozen=True, slots=True)
class Sequence:
    """All parts, one after the other."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the options."""

    options: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """An item several times in a row; `at_most` is None where there is no limit."""

    item: "Expression"
    at_least: int
    at_most: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """An expression with a name."""

    name: str
    body: "Expression"


Expression: TypeAlias = Literal | CharClass | Sequence | Choice | Repeat | Rule


def make_sequence(*parts: str | Expression) -> Expression:
    """Make a sequence of texts and expressions; neighbouring texts become one literal."""
    joined: list[Expression] = []
    for is_text, run in groupby(parts, key=lambda part: isinstance(part, str)):
        if is_text:
            joined.append(Literal("".join(part for part in run if isinstance(part, str))))
        else:
            joined.extend(part for part in run if not isinstance(part, str))
    return joined[0] if len(joined) == 1 else Sequence(tuple(joined))


def to_ebnf(root: Rule) -> str:
    """Print the rules, the root first, one per line, in the EBNF that xgrammar and llama.cpp read.

    Source: xgrammar's EBNF reference; it quotes literals and classes as C does.
    """
    return "\n".join(f"{rule.name} ::= {_print_ebnf(rule.body)}" for rule in _list_rules(root))


def _list_rules(root: Rule) -> Iterator[Rule]:
    """Yield all rules; each comes before the rules that it is the first to mention."""
    seen = {root}
    waiting = [root]
    for rule in waiting:
        for mentioned in _find_mentioned(rule.body):
            if mentioned not in seen:
                seen.add(mentioned)
                waiting.append(mentioned)
    yield from waiting


def _find_mentioned(expression: Expression) -> Iterator[Rule]:
    match expression:
        case Rule():
            yield expression
        case Sequence(parts) | Choice(parts):
            for part in parts:
                yield from _find_mentioned(part)
        case Repeat(item):
            yield from _find_mentioned(item)


# How tightly the context binds: an expression that binds less tightly is printed in parentheses.
_LOOSE, _IN_SEQUENCE, _IN_REPEAT = range(3)


def _print_ebnf(expression: Expression, place: int = _LOOSE) -> str:
    match expression:
        case Literal(text):
            return f'"{text.translate(_IN_LITERAL)}"'
        case CharClass(spans, negated):
            return f"[{'^' if negated else ''}{''.join(_print_span(*span) for span in spans)}]"
        case Rule(name):
            return name
        case Sequence(parts):
            printed, binds = " ".join(_print_ebnf(part, _IN_SEQUENCE) for part in parts), _IN_SEQUENCE
        case Choice(options):
            printed, binds = " | ".join(_print_ebnf(option) for option in options), _LOOSE
        case Repeat(item, at_least, at_most):
            once = _print_ebnf(item, _IN_REPEAT)
            printed, binds = " ".join(once + mark for mark in _choose_marks(at_least, at_most)), _IN_SEQUENCE
    return f"({printed})" if place > binds else printed


_BREAKS: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_IN_LITERAL: Final = str.maketrans(_BREAKS | {'"': '\\"'})
_IN_CLASS: Final = str.maketrans(_BREAKS | {"]": "\\]", "^": "\\^", "-": "\\-"})


def _print_span(first: str, last: str) -> str:
    first, last = first.translate(_IN_CLASS), last.translate(_IN_CLASS)
    return first if first == last else f"{first}-{last}"


def _choose_marks(at_least: int, at_most: int | None) -> list[str]:
    """Return the mark behind each copy of a repeated item. Counts in braces are avoided: not every reader knows them."""
    if at_most is not None:
        return [""] * at_least + ["?"] * (at_most - at_least)
    return [""] * (at_least - 1) + ["+"] if at_least else ["*"]
