"""The questions to a teacher about a page: two scores for the document, three small programs for each chunk.

The idea is that of ProX (arXiv 2409.17115) §A: an additive scale as in FineWeb-Edu, a score for the format, and one
program for each kind of noise, since a model that looks for one kind at a time overlooks less. The wording, the example
pages and their programs are our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prox_spark.chunking import number_line
from prox_spark.programs import Operation, OpName, print_program

SCORES: Final = range(6)
_NOTHING: Final = (Operation(OpName.KEEP_CHUNK),)


@dataclass(frozen=True)
class Example:
    """A page, and the program that a good teacher writes for it."""

    lines: tuple[str, ...]
    ops: tuple[Operation, ...]

    @property
    def page(self) -> str:
        """The numbered lines, as a refiner reads them."""
        return "\n".join(number_line(number, line) for number, line in enumerate(self.lines))


@dataclass(frozen=True)
class Question:
    """One question to a teacher.

    Attributes:
        name: name of the question; its answers are stored as stage `annotate_NAME`.
        instruction: the task in words.
        examples: worked examples of programs; a question without examples asks for a score.
    """

    name: str
    instruction: str
    examples: tuple[Example, ...] = ()

    @property
    def stage(self) -> str:
        """The `stage` of its answers in `generations`."""
        return f"annotate_{self.name}"

    @property
    def asks_for_score(self) -> bool:
        """True if it asks for a score of the document, False for a program of a chunk."""
        return not self.examples

    def build_messages(self, constrained: bool) -> list[dict[str, str]]:
        """Return the chat up to the teacher's answer; the last message holds `{text}` once.

        Args:
            constrained: True if the engine allows only a score or a program; else the teacher may think first.
        """
        if self.asks_for_score:
            form = _SCORE_ALONE if constrained else _SCORE_LAST
            return [{"role": "user", "content": f"{self.instruction}\n\n{_frame('{text}')}\n\n{form}"}]
        # The instruction stands before the first page only: everything before the last page is then the same in every
        # prompt and stays in the engine's prefix cache.
        form = _PROGRAM_ALONE if constrained else _PROGRAM_LAST
        pages = [*(_frame(example.page) for example in self.examples), _frame("{text}")]
        pages[0] = f"{self.instruction}\n\n{form}\n\n{pages[0]}"
        answers = [print_program(example.ops) for example in self.examples]
        if not constrained:
            answers = [f"```\n{answer}\n```" for answer in answers]
        messages = [{"role": "user", "content": pages[0]}]
        for answer, page in zip(answers, pages[1:], strict=True):
            messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": page}]
        return messages


def _frame(text: str) -> str:
    return f"[doc]\n{text}\n[/doc]"


def _remove(first: int, last: int) -> Operation:
    return Operation(OpName.REMOVE_LINES, first, last)


def _replace(source: str, target: str = "") -> Operation:
    return Operation(OpName.NORMALIZE, source_str=source, target_str=target)


_SCORE_ALONE: Final = "How many points does the page have? Answer with the number alone, 0 to 5."
_SCORE_LAST: Final = (
    "First say in at most 60 words which points the page has and which not. Then write, as the last line, `Score: N` with N "
    "from 0 to 5."
)
_PROGRAM_ALONE: Final = "Answer with the calls alone, one a line. For each page that follows answer in the same way."
_PROGRAM_LAST: Final = (
    "You may think first. The program comes last, in a code block, one call a line. For each page that follows answer in the "
    "same way."
)

_REMOVE_CALLS: Final = """The calls you have:
remove_lines(line_start=A, line_end=B) removes the lines numbered A to B, both included.
keep_chunk() when there is nothing to remove.
Numbers are those in front of the lines. When in doubt about a line, leave it."""

EDU: Final = Question(
    "edu",
    """You rate web pages as reading for someone who wants to learn. Begin at 0 points and add one for each statement that is true:
1. The page tells something worth knowing about a subject, even if much on it is advertising or chat.
2. It goes into its subject: what it tells could be part of a lesson, though order or depth may be missing.
3. It explains: notions that are taught at school or college are introduced and connected, and a student could use it.
4. It could be a section of a textbook or a course: ordered, with reasons, examples or exercises, and little beside the point.
5. It teaches so well that a beginner follows every step without help, and nothing distracts.
A page that only sells, lists, announces or gossips has 0 points or 1. Rate the part of the page that you see.""",
)

FORMAT: Final = Question(
    "format",
    """You rate how well the text of a web page survived being taken out of its page. What it is about does not matter. Begin at 0 points
and add one for each statement that is true:
1. Most of it is language: sentences, headings, lists, code or tables that a person wrote.
2. Sentences are whole; they are not cut, doubled or run into each other.
3. Menus, buttons, links, cookie notices and the like are at most a small part of it.
4. Its parts are in order: headings before their paragraphs, list items and code on lines of their own.
5. It could be printed as it is.""",
)

NAVIGATION: Final = Question(
    "navigation",
    f"""You clean the text of web pages. This time look for one thing only: what serves to move about the site. That is menus, paths such
as "Home > News", buttons and their words ("Log in", "Read more", "Share"), page numbers, search boxes, lists of links to other
pages, cookie notices and invitations to subscribe. The headings and the text of the page itself stay.

{_REMOVE_CALLS}""",
    (
        Example(
            (
                "Home",
                "Recipes",
                "Sign in",
                "Bread for beginners",
                "Flour, water, salt and time make a good loaf.",
                "Share on social media",
                "Knead the dough until it no longer sticks to the bowl.",
                "Next: Rolls in an hour »",
            ),
            (_remove(0, 2), _remove(5, 5), _remove(7, 7)),
        ),
        Example(
            (
                "Why ice floats",
                "",
                "Water takes more room when it freezes, so a piece of ice weighs less than the water it pushes aside.",
            ),
            _NOTHING,
        ),
    ),
)

LITTER: Final = Question(
    "litter",
    """You clean the text of web pages. This time look for one thing only: litter within lines. That is web addresses, leftovers of markup,
marks such as "[edit]" or "(click to enlarge)", dates of a stamp, runs of signs such as "=====" or "~~~", and what else was never
meant to be read in the sentence where it stands. A line that is nothing but litter is removed as a whole.

The calls you have:
normalize(source_str="S", target_str="T") writes T wherever S stands; an empty T deletes it. Copy S exactly, without the line's number.
remove_lines(line_start=A, line_end=B) removes the lines numbered A to B, both included.
keep_chunk() when there is nothing to do.
Addresses that the text talks about, and code, stay. When in doubt, leave it.""",
    (
        Example(
            (
                "The lighthouse[edit]",
                "It was built in 1886 [12] and can be seen from twenty miles (click to enlarge).",
                "http://harbour.example/gallery/img_0042.jpg",
                "Two keepers lived in it until 1974.",
            ),
            (_remove(2, 2), _replace("[edit]"), _replace(" [12]"), _replace(" (click to enlarge)")),
        ),
        Example(
            ("How to write a loop", "for i in range(10):", "    print(i)  # [0] to [9]"),
            _NOTHING,
        ),
    ),
)

FOOTER: Final = Question(
    "footer",
    f"""You clean the text of web pages. This time look for one thing only: what stands around and after an article without being part of it.
That is copyright lines, terms and contact addresses, lines about the author or the posting, tags, "related" lists, comment forms,
numbered references and link collections at the end, and advertisements. The article itself stays, its last paragraph too.

{_REMOVE_CALLS}""",
    (
        Example(
            (
                "The bees were back in the first week of April, a month earlier than the year before.",
                "Posted by Ruth in Garden, 14 comments",
                "References",
                "1. Ashworth, P.: Early spring. Garden Letters 12, p. 40",
                "2. Weather records of the county",
                "© Garden Letters. All rights reserved.",
            ),
            (_remove(1, 5),),
        ),
        Example(
            ("A triangle with sides 3, 4 and 5 has a right angle.", "Check it: 9 and 16 make 25."),
            _NOTHING,
        ),
    ),
)

QUESTIONS: Final = (EDU, FORMAT, NAVIGATION, LITTER, FOOTER)
