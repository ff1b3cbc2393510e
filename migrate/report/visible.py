"""What the eye does not see, made visible: characters that are invisible or look like others, and the part in which two texts differ.

Pure. A text is cut into pieces; whoever shows them decides on colours and markup, and never shows the character of a piece with `code`
itself, but its `glyph`: it may be a control character, or half of a pair that no file can hold.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import groupby
from typing import Final

LONGEST: Final = 400
"""Characters of one part of a text that are shown before the rest is counted; finding the differing parts inside is quadratic."""

_AROUND: Final = 60
_ALIKE_ENOUGH: Final = 0.5
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
# Letters and marks by category, yet without any ink: fillers, joiners, selectors of variants.
_HIDDEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for first, last in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF)) for code in range(first, last + 1)
}  # fmt: skip
_FAMILIES: Final = (
    "-‐‑‒–—―−﹣－ー一", "·•・‧∙⋅･ㆍ᛫", "'‘’ʼ′`´＇", '"“”″〃＂', ",，‚", ".．。", ":：∶", "~～〜∼˜", "|｜∣丨I", "/／∕⁄",
    "0OОΟ〇○◯", "1lI", "AАΑ", "BВΒ", "CС", "EЕΕ", "HНΗ", "KКΚ", "MМΜ", "NΝ", "PРΡ", "SЅ", "TТΤ", "XХΧ", "YΥ", "ZΖ", "aа", "cс", "eе", "iі", "oоο", "pр", "xх", "yу",
    "己已巳", "曰日", "末未", "土士", "户戶戸", "真眞", "高髙", "吕呂", "青靑", "内內", "黄黃", "温溫", "强強", "录錄彔", "吴吳呉", "清淸", "俞兪", "值値", "税稅", "别別",
)  # fmt: skip
"""Characters that are taken for each other on invoices; compatibility forms (full width, ligatures, radicals) fold by Unicode's own tables."""

_FOLDED: Final = {ord(char): family[0] for family in reversed(_FAMILIES) for char in family}
_NAMES: Final = {
    " ": ("space", "空格"),
    "\t": ("tab", "制表符"),
    "\n": ("line feed", "换行符"),
    "\r": ("carriage return", "回车符"),
    "\x00": ("null character", "空字符"),
    "\x7f": ("delete", "删除符"),
    "\u00a0": ("no-break space", "不换行空格"),
    "\u00ad": ("soft hyphen", "软连字符"),
    "\u00b7": ("middle dot", "间隔号"),
    "\u2022": ("bullet", "项目符号"),
    "\u30fb": ("katakana middle dot", "片假名中点"),
    "\u200b": ("zero-width space", "零宽空格"),
    "\u200c": ("zero-width non-joiner", "零宽不连字符"),
    "\u200d": ("zero-width joiner", "零宽连字符"),
    "\u200e": ("left-to-right mark", "从左至右标记"),
    "\u200f": ("right-to-left mark", "从右至左标记"),
    "\u202e": ("right-to-left override", "从右至左强制符"),
    "\u2060": ("word joiner", "字连接符"),
    "\u3000": ("ideographic space", "全角空格"),
    "\ufeff": ("byte order mark", "字节顺序标记（BOM）"),
    "\ufffd": ("replacement character", "替换字符（解码失败）"),
}
_NAMELESS: Final = {
    "Cc": ("control character", "控制字符"),
    "Cn": ("not assigned", "未定义字符"),
    "Co": ("private use", "私用区字符"),
    "Cs": ("half of a surrogate pair", "孤立的代理项"),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text.

    `differs`: the other side has something else here. `code`: one character that is shown with its code point. `left_out`: how many
    characters stand here that are not shown; `text` is empty then.
    """

    text: str
    differs: bool = False
    code: bool = False
    left_out: int = 0

    @property
    def label(self) -> str:
        """The code point of a piece with `code`, such as `U+3000`."""
        return f"U+{ord(self.text):04X}"

    @property
    def glyph(self) -> str:
        """What can be shown of a character: nothing, if it has no ink; a combining mark on a dotted circle."""
        if is_hidden(self.text):
            return ""
        return f"◌{self.text}" if _is_combining(self.text) else self.text.replace(" ", "␣")

    @property
    def written(self) -> str:
        """The piece where there is no markup: `‹U+3000›` behind the glyph."""
        return f"{self.glyph}‹{self.label}›" if self.code else self.text


Pieces = tuple[Piece, ...]


def pieces(text: str, *, whole: bool = False) -> Pieces:
    """A text by itself: its invisible characters, and spaces at its ends, carry their code points. With `whole`, nothing is left out."""
    parts = _parts(text, 0, len(text))
    return tuple(parts if whole else _shortened(parts))


def compared(expected: str | None, actual: str | None) -> tuple[Pieces | None, Pieces | None]:
    """Both texts, with the parts that differ marked; None (NULL) stays None.

    Parts that look alike carry the code point of each character; in any other part that differs, full-width, combining and invisible
    characters do.
    """
    if expected is None or actual is None:
        return _whole(expected), _whole(actual)
    left: list[Piece] = []
    right: list[Piece] = []
    for same, a, b in _segments(expected, actual):
        alike = not same and _folded(expected[a.start : a.stop]) == _folded(actual[b.start : b.stop])
        left += _parts(expected, a.start, a.stop, differs=not same, alike=alike)
        right += _parts(actual, b.start, b.stop, differs=not same, alike=alike)
    return tuple(_shortened(left)), tuple(_shortened(right))


def is_hidden(char: str) -> bool:
    """Whether a character leaves no ink, or ink that says nothing: controls, odd spaces, zero width, private use; not the common space."""
    return char != " " and (char in _HIDDEN or unicodedata.category(char) in _HIDDEN_CATEGORIES)


@lru_cache(maxsize=4096)
def name_of(char: str, *, chinese: bool = False) -> str:
    """What a character is called: by the table of this module, else by Unicode, in lower case; what kind of character it is, for one without a name."""
    kind = _NAMELESS.get(unicodedata.category(char), ("", ""))
    if char in _NAMES or any(kind):
        return _NAMES.get(char, kind)[chinese]
    name = unicodedata.name(char, "").lower()
    return _chinese_name(char, name) if chinese else name


def _chinese_name(char: str, name: str) -> str:
    if char.isascii():
        return f"半角 {char}"
    if name.startswith("fullwidth"):
        return f"全角 {unicodedata.normalize('NFKC', char)}"
    if name.startswith("cjk"):
        return "兼容汉字" if "compatibility" in name else "汉字"
    if _is_combining(char):
        return f"组合符号（{name}）"
    return f"字母（{name}）" if char.isalpha() else f"符号（{name}）"


def _whole(text: str | None) -> Pieces | None:
    return None if text is None else tuple(replace(part, differs=True) for part in pieces(text))


def _segments(expected: str, actual: str) -> Iterator[tuple[bool, range, range]]:
    """Whether both have the same, and where, from the start to the end."""
    start = _shared(expected, actual)
    end = _shared(expected[start:][::-1], actual[start:][::-1])
    a, b = range(start, len(expected) - end), range(start, len(actual) - end)
    yield True, range(start), range(start)
    one, other = expected[a.start : a.stop], actual[b.start : b.stop]
    matcher = SequenceMatcher(None, one, other, autojunk=False) if max(len(a), len(b)) <= LONGEST else None
    if matcher is not None and matcher.ratio() >= _ALIKE_ENOUGH:
        for kind, i, j, k, m in matcher.get_opcodes():
            yield kind == "equal", range(start + i, start + j), range(start + k, start + m)
    else:
        yield False, a, b
    yield True, range(a.stop, len(expected)), range(b.stop, len(actual))


def _shared(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _parts(text: str, start: int, stop: int, *, differs: bool = False, alike: bool = False) -> Iterator[Piece]:
    inner = range(len(text) - len(text.lstrip(" ")), len(text.rstrip(" ")))

    def coded(position: int) -> bool:
        char = text[position]
        if char == " ":
            return alike or position not in inner
        return alike or is_hidden(char) or char == "\ufffd" or (differs and _is_odd(char))

    shown = range(start, min(stop, start + LONGEST) if differs else stop)
    for code, positions in groupby(shown, coded):
        run = "".join(text[each] for each in positions)
        yield from (Piece(each, differs, code=True) for each in run) if code else (Piece(run, differs),)
    if stop > shown.stop:
        yield Piece("", differs, left_out=stop - shown.stop)


def _shortened(parts: Iterator[Piece] | list[Piece]) -> Iterator[Piece]:
    """The pieces; of a long run without any mark, what stands at its ends."""
    for part in parts:
        if part.differs or part.code or len(part.text) <= LONGEST:
            yield part
        else:
            yield Piece(part.text[:_AROUND])
            yield Piece("", left_out=len(part.text) - 2 * _AROUND)
            yield Piece(part.text[-_AROUND:])


def _folded(text: str) -> str:
    """What is left of a text when everything that the eye cannot tell apart is made the same."""
    ink = "".join(char for char in unicodedata.normalize("NFKC", text) if not is_hidden(char) and char != " ")
    return ink.translate(_FOLDED)


def _is_odd(char: str) -> bool:
    return _is_combining(char) or unicodedata.normalize("NFKC", char) != char


def _is_combining(char: str) -> bool:
    return unicodedata.category(char).startswith("M")
