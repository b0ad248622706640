"""A grammar kept as data: the expressions it is made of, and what is made of them.

A rule holds its body, and the parts can't change: no rule can refer to itself, so every language that can be written
here is regular. An engine decodes under the text that `to_ebnf` prints, and a pattern made by `to_regex` recognises the
same language.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A text that stands for itself."""

    text: str


@dataclass(frozen=True, slots=True)
class CharClass:
    """One character: of the spans, both ends included, or of none of them."""

    spans: tuple[tuple[str, str], ...]
    negated: bool = False

    @classmethod
    def outside(cls, characters: Iterable[str]) -> "CharClass":
        """Any character but these."""
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


def sequence(*parts: str | Expression) -> Expression:
    """A sequence out of texts and expressions; neighbouring texts become one literal."""
    joined: list[Expression] = []
    for is_text, run in groupby(parts, key=lambda part: isinstance(part, str)):
        if is_text:
            joined.append(Literal("".join(part for part in run if isinstance(part, str))))
        else:
            joined.extend(part for part in run if not isinstance(part, str))
    return joined[0] if len(joined) == 1 else Sequence(tuple(joined))


def to_ebnf(root: Rule) -> str:
    """Prints the rules, the root first, one a line, in the EBNF that xgrammar and llama.cpp read.

    Source: xgrammar's EBNF reference; its quoting of literals and classes is that of C.
    """
    return "\n".join(f"{rule.name} ::= {_ebnf(rule.body)}" for rule in _rules(root))


def to_regex(expression: Expression) -> str:
    """Writes an expression as a regular expression of Python's `re`, for `fullmatch`."""
    match expression:
        case Literal(text):
            return re.escape(text)
        case CharClass(spans, negated):
            return _char_class(spans, negated, re.escape)
        case Rule(_, body):
            return to_regex(body)
        case Sequence(parts):
            return "".join(to_regex(part) for part in parts)
        case Choice(options):
            return f"(?:{'|'.join(to_regex(option) for option in options)})"
        case Repeat(item, at_least, at_most):
            # Not an option several times over: that reads a number in many ways, and all are tried where a match fails.
            return f"(?:{to_regex(item)}){{{at_least},{'' if at_most is None else at_most}}}"


def _rules(root: Rule) -> Iterator[Rule]:
    """All rules, each before those it mentions first."""
    seen = {root}
    waiting = [root]
    for rule in waiting:
        for mentioned in _mentioned(rule.body):
            if mentioned not in seen:
                seen.add(mentioned)
                waiting.append(mentioned)
    yield from waiting


def _mentioned(expression: Expression) -> Iterator[Rule]:
    match expression:
        case Rule():
            yield expression
        case Sequence(parts) | Choice(parts):
            for part in parts:
                yield from _mentioned(part)
        case Repeat(item):
            yield from _mentioned(item)


# How tightly the surroundings bind what is printed in them: parentheses go around what binds less.
_LOOSE, _IN_SEQUENCE, _IN_REPEAT = range(3)


def _ebnf(expression: Expression, place: int = _LOOSE) -> str:
    match expression:
        case Literal(text):
            return f'"{text.translate(_IN_LITERAL)}"'
        case CharClass(spans, negated):
            return _char_class(spans, negated, lambda character: character.translate(_IN_CLASS))
        case Rule(name):
            return name
        case Sequence(parts):
            printed, binds = " ".join(_ebnf(part, _IN_SEQUENCE) for part in parts), _IN_SEQUENCE
        case Choice(options):
            printed, binds = " | ".join(_ebnf(option) for option in options), _LOOSE
        case Repeat(item, at_least, at_most):
            once = _ebnf(item, _IN_REPEAT)
            printed, binds = " ".join(once + mark for mark in _marks(at_least, at_most)), _IN_SEQUENCE
    return f"({printed})" if place > binds else printed


_BREAKS: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_IN_LITERAL: Final = str.maketrans(_BREAKS | {'"': '\\"'})
_IN_CLASS: Final = str.maketrans(_BREAKS | {"]": "\\]", "^": "\\^", "-": "\\-"})


def _char_class(spans: Iterable[tuple[str, str]], negated: bool, escape: Callable[[str], str]) -> str:
    written = (escape(first) if first == last else f"{escape(first)}-{escape(last)}" for first, last in spans)
    return f"[{'^' if negated else ''}{''.join(written)}]"


def _marks(at_least: int, at_most: int | None) -> list[str]:
    """What stands behind each copy of a repeated item; counts in braces are not known to every reader."""
    if at_most is not None:
        return [""] * at_least + ["?"] * (at_most - at_least)
    return [""] * (at_least - 1) + ["+"] if at_least else ["*"]
