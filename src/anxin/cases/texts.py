"""Words of people, kept as the text that they are: never markup, of bounded length, without control characters."""

from __future__ import annotations

import unicodedata

from anxin.domain.errors import FormatError

#: Characters of a reason, an answer or a comment: some pages.
MAX_TEXT_CHARS = 10_000
#: Characters of a name that a person gives to a filter.
MAX_NAME_CHARS = 80
_LINES = frozenset("\n\t")
#: Marks that turn the direction of writing: with them a text shows otherwise than it is.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def checked_text(text: str, field: str, most: int = MAX_TEXT_CHARS, *, may_be_empty: bool = False) -> str:
    """Return a text without blanks at its ends. HTML in it is text and stays as it is.

    Raises FormatError `text.empty`, `text.length`, `text.control` (control characters but line end and tab, halves of
    a surrogate pair, characters that turn the direction).
    """
    text = text.replace("\r\n", "\n").strip()
    if len(text) > most:
        raise FormatError("text.length", f"文字过长 · at most {most} characters", field)
    wrong = next((c for c in text if _refused(c)), "")
    if wrong:
        raise FormatError("text.control", f"含控制字符 · a control character: U+{ord(wrong):04X}", field)
    if not text and not may_be_empty:
        raise FormatError("text.empty", "必须填写 · a text is needed", field)
    return text


def _refused(character: str) -> bool:
    if character in _TURNING:
        return True
    return unicodedata.category(character) in ("Cc", "Cs") and character not in _LINES
