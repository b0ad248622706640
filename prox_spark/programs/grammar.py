"""The program language as data: the grammar that the engine decodes under, and the parser is tested against."""

from typing import Final

# EBNF as xgrammar and llama.cpp read it. It is the canonical form that `print_program` writes: what is decoded under it
# parses without a diagnostic, as long as it is not cut at the answer limit.
PROGRAM_GRAMMAR: Final = r"""
root ::= "keep_chunk()" | call ("\n" call)*
call ::= remove | normalize
remove ::= "remove_lines(line_start=" number ", line_end=" number ")"
normalize ::= "normalize(source_str=\"" character character+ "\", target_str=\"" character* "\")"
number ::= "0" | [1-9] [0-9]? [0-9]? [0-9]? [0-9]?
character ::= [^"\\\r\n] | "\\\\" | "\\\""
""".strip()
