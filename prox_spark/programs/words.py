"""Words of a text: white space separates them, and in scripts without blanks between words each letter is a word.

The ranges are written out as numbers because `unicodedata`, Java and other libraries each know a different Unicode version.
"""

import re
from collections.abc import Iterable
from typing import Final

# First and last code point, in order.
Ranges = tuple[tuple[int, int], ...]

# The letters (Lo, Nl) of Unicode 17 whose Line_Break is ID, CJ, SA, AK, AS or AP, that is, of scripts whose lines break without
# a blank. Hangul is left out because it has blanks. Tibetan is included because it marks syllables, not words; so are the
# radicals that PDF files hold in place of ideographs. Code points still unassigned between ideographs or kana will be letters too.
_LETTERS: Final = (
    # Thai, Lao, Tibetan
    "0E01-0E30 0E32-0E33 0E40-0E45 0E81-0EB0 0EB2-0EB3 0EBD 0EC0-0EC4 0EDC-0EDF 0F00 0F40-0F6C 0F88-0F8C "
    # Myanmar
    "1000-102A 103F 1050-1055 105A-105D 1061 1065-1066 106E-1070 1075-1081 108E "
    "A9E0-A9E4 A9E7-A9EF A9FA-A9FE AA60-AA6F AA71-AA76 AA7A AA7E-AA7F "
    # Khmer, Tai Le, New Tai Lue, Tai Tham, Tai Viet, Ahom
    "1780-17B3 17DC 1950-1974 1980-19AB 19B0-19C9 1A20-1A54 "
    "AA80-AAAF AAB1 AAB5-AAB6 AAB9-AABD AAC0 AAC2 AADB-AADC 11700-1171A 11740-11746 "
    # Balinese, Batak, Javanese, Cham
    "1B05-1B33 1B45-1B4C 1BC0-1BE5 A984-A9B2 AA00-AA28 AA40-AA42 AA44-AA4B "
    # Brahmi, Grantha, Tulu-Tigalari, Dives Akuru, Makasar, Kawi, Gurung Khema
    "11003-11037 11071-11072 11075 11305-11339 1133D 11350 1135D-11361 11380-113B5 113B7 113D1 113D3 "
    "11900-1192F 1193F 11941 11EE0-11EF2 11F02 11F04-11F33 16100-1611D "
    # Han
    "2E80-2FD5 3006-3007 3021-3029 3038-303A 303C 3400-4DBF 4E00-9FFF F900-FAFF 20000-3FFFD "
    # Hiragana, Katakana, Bopomofo
    "3041-3096 309F 30A1-30FA 30FF 31F0-31FF FF66-FF6F FF71-FF9D 1B000-1B16F 3105-312F 31A0-31BF "
    # Yi; Khitan, Tangut, Nushu
    "A000-A014 A016-A48C 16FF4-16FF6 17000-18DFF 18E00-191FF 1B170-1B2FF"
)
# Characters that belong to such a letter beside them: marks, punctuation and signs, but no letters of other scripts or digits.
_ATTACHED: Final = (
    # Used with all scripts; without white space
    "0000-0008 000E-001B 0021-002F 003A-0040 005B-0060 007B-0084 0086-009F 00A1-00A9 00AB-00B4 00B6-00B9 00BB-00BF 00D7 00F7 "
    "02EA-02EB 0300-036F 200B-2027 202A-202E 2030-205E 2060-206F 20A0-20FF 2190-2BFF 2E00-2E7F "
    "FE00-FE6F 1F000-1FAFF E0000-E0FFF "
    # Thai, Lao, Tibetan, Myanmar, Khmer and the like
    "0E31 0E34-0E3F 0E46-0E4F 0E5A-0E5B 0EB1 0EB4-0EBC 0EC6-0ECF 0F01-0F1F 0F2A-0F3F 0F71-0F87 0F8D-0FFF "
    "102B-103E 104A-104F 1056-1059 105E-1060 1062-1064 1067-106D 1071-1074 1082-108D 108F 109A-109F "
    "A9E5-A9E6 AA70 AA77-AA79 AA7B-AA7D 17B4-17DB 17DD-17DF 17F0-17FF 19DA-19FF 1A55-1A7F 1AA0-1AAF "
    "AAB0 AAB2-AAB4 AAB7-AAB8 AABE-AABF AAC1 AADD-AADF 1171D-1172F 1173A-1173F "
    "1B00-1B04 1B34-1B44 1B4E-1B4F 1B5A-1B7F 1BE6-1BFF A980-A983 A9B3-A9CE A9DE-A9DF AA29-AA3F AA43 AA4C-AA4F AA5C-AA5F "
    "11000-11002 11038-11065 11070 11073-11074 1107F 11300-11304 1133A-1133C 1133E-1134F 11351-1135C 11362-1137F "
    "113B8-113D0 113D2 113D4-113FF 11930-1193E 11940 11942-1194F 11EF3-11EFF 11F00-11F01 11F03 11F34-11F4F 11F5A 1611E-1612F "
    # Ideographs and kana
    "2FF0-2FFF 3001-3005 3008-3020 302A-3037 303B 303D-303F 3099-309E 30A0 30FB-30FE 3190-319F 31C0-31EF 3200-33FF 4DC0-4DFF "
    "A015 A490-A4CF FF00-FF0F FF1A-FF20 FF3B-FF40 FF5B-FF65 FF70 FF9E-FF9F FFE0-FFFF 16FE0-16FF3 1AFF0-1AFFF"
)


def _parse_ranges(written: str) -> Ranges:
    ends = (one.partition("-")[::2] for one in written.split())
    return tuple(sorted((int(first, 16), int(last or first, 16)) for first, last in ends))


UNSPACED_LETTERS: Final = _parse_ranges(_LETTERS)
ATTACHED_SIGNS: Final = _parse_ranges(_ATTACHED)


def _write_class(ranges: Iterable[tuple[int, int]]) -> str:
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


_letters, _signs = map(_write_class, (UNSPACED_LETTERS, ATTACHED_SIGNS))
_LETTER: Final = re.compile(f"[{_letters}]")
# These letters and most characters of four bytes: `re` is ten times as fast where few ranges lie beyond U+FFFF.
_MAYBE_LETTER: Final = re.compile(
    f"[{_write_class(ends for ends in UNSPACED_LETTERS if ends[1] < 0x10000)}\U00011000-\U0001efff\U00020000-\U0003ffff]"
)
# A letter that is a word, with the signs beside it. Looking for a letter from every position in a long run of signs would take
# quadratic time: only the run's start is tried.
_ALONE: Final = re.compile(f"(?:(?<![{_signs}])[{_signs}]++)?[{_letters}][{_signs}]*+")


def count_words(text: str) -> int:
    """Count the words of a text as the gates of `strict` and the tables do.

    White space separates words, as in `str.split()`. A letter of a script without blanks is a word of its own, with the
    marks, punctuation and signs beside it: "iPhone手机。" has three words. Without such letters the count is
    `len(text.split())`.
    """
    if text.isascii() or not (maybe := _MAYBE_LETTER.search(text)) or not _LETTER.search(text, maybe.start()):
        return len(text.split())
    others, n_letters = _ALONE.subn(" ", text)
    return n_letters + len(others.split())
