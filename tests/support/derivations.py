"""Derivations of a grammar for hypothesis: what an engine may write under it, from the same data."""

from __future__ import annotations

from hypothesis import strategies as st

from prox_spark.programs.notation import CharClass, Choice, Expression, Literal, Repeat, Rule, Sequence

# What the lexer takes for more than a character, and what other libraries take for a line break.
TELLING = "()[]{}=,;:#'`\"\\\t \r\n\v\f\0\x1c\x85\u2028\u2029\u200b\xa0é日🚂"
# Copies of one call beyond 16 are a runaway generation, whatever the grammar says.
MAX_REPEATS = 8


def derivations(expression: Expression) -> st.SearchStrategy[str]:
    """Texts of the language of an expression, repetitions up to MAX_REPEATS."""
    match expression:
        case Literal(text):
            return st.just(text)
        case CharClass():
            return _characters(expression)
        case Rule(_, body):
            return derivations(body)
        case Sequence(parts):
            return st.tuples(*map(derivations, parts)).map("".join)
        case Choice(options):
            return st.one_of(*map(derivations, options))
        case Repeat(item, at_least, at_most):
            limit = MAX_REPEATS if at_most is None else at_most
            return st.lists(derivations(item), min_size=at_least, max_size=limit).map("".join)


def _characters(char_class: CharClass) -> st.SearchStrategy[str]:
    if not char_class.negated:
        return st.one_of(*(st.characters(min_codepoint=ord(a), max_codepoint=ord(z)) for a, z in char_class.spans))
    outside = "".join(chr(code) for first, last in char_class.spans for code in range(ord(first), ord(last) + 1))
    telling = sorted(set(TELLING) - set(outside))
    # An engine writes UTF-8: no lone surrogates.
    return st.characters(exclude_characters=outside, exclude_categories=["Cs"]) | st.sampled_from(telling)
