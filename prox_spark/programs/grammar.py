"""The program language as data: the grammar that the engine decodes under, and the parser is tested against."""

from typing import Final

# EBNF as xgrammar and llama.cpp read it: the canonical form that `print_program` writes. What is decoded under it is read
# without stray text, unknown operations or malformed arguments; whether its line numbers make sense is another matter.
PROGRAM_GRAMMAR: Final = r"""
root ::= "keep_chunk()" | call ("\n" call)*
call ::= remove | normalize
remove ::= "remove_lines(line_start=" number ", line_end=" number ")"
normalize ::= "normalize(source_str=\"" character character+ "\", target_str=\"" character* "\")"
number ::= "0" | [1-9] [0-9]? [0-9]? [0-9]? [0-9]?
character ::= [^"\\\r\n] | "\\\\" | "\\\""
""".strip()
