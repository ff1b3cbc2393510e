"""Which characters a charset has, as a regular expression over code points, so that DuckDB can test a column at native speed."""

from __future__ import annotations

import codecs
import sys
from functools import cache

_SURROGATES = range(0xD800, 0xE000)
_UNICODE = frozenset({"utf-8", "utf8", "utf8mb4", "utf-16", "utf-32", "gb18030", "utf_8"})
_ALIASES = {
    "utf8mb3": "utf8mb3",
    "ucs2": "utf8mb3",
    "latin1": "cp1252",
    "euckr": "euc_kr",
    "sjis": "shift_jis",
    "cp936": "gbk",
}
_BASIC_PLANE = 0x10000


class UnknownCharset(Exception):
    """Neither Unicode nor a codec that Python knows."""


@cache
def unfit_pattern(charset: str | None) -> str | None:
    """Regular expression (RE2) that finds a character which `charset` lacks; None when it has all of Unicode."""
    if charset is None or charset.lower() in _UNICODE:
        return None
    name = _ALIASES.get(charset.lower(), charset.lower())
    if name == "utf8mb3":
        return r"[\x{10000}-\x{10FFFF}]"
    try:
        codec = codecs.lookup(name)
    except LookupError as error:
        raise UnknownCharset(f"charset {charset} is not known") from error
    return "[^" + _class([code for codes in _by_length(codec).values() for code in codes]) + "]"


@cache
def extra_bytes(charset: str | None) -> tuple[tuple[str, int], ...] | None:
    """Regular expressions of characters that take more than one byte, each with the bytes beyond the first.

    None for UTF-8, whose bytes DuckDB counts itself.
    """
    if charset is None or charset.lower() in ("utf-8", "utf8", "utf8mb4", "utf8mb3", "utf_8"):
        return None
    codec = codecs.lookup(_ALIASES.get(charset.lower(), charset.lower()))
    lengths = _by_length(codec)
    return tuple((f"[{_class(codes)}]", length - 1) for length, codes in sorted(lengths.items()) if length > 1)


def _by_length(codec: codecs.CodecInfo) -> dict[int, list[range]]:
    """Runs of code points that survive a round trip, by the bytes of each. Of charsets, only those of all of Unicode leave the basic plane."""
    found: dict[int, list[range]] = {}
    for code in range(_BASIC_PLANE):
        length = None if code in _SURROGATES else _bytes(codec, chr(code))
        if length is None:
            continue
        runs = found.setdefault(length, [])
        if runs and runs[-1].stop == code:
            runs[-1] = range(runs[-1].start, code + 1)
        else:
            runs.append(range(code, code + 1))
    beyond = _bytes(codec, chr(_BASIC_PLANE))
    if beyond is not None and _bytes(codec, chr(sys.maxunicode)) == beyond:
        found.setdefault(beyond, []).append(range(_BASIC_PLANE, sys.maxunicode + 1))
    return found


def _class(runs: list[range]) -> str:
    """The inside of a character class of RE2."""
    return "".join(f"\\x{{{run.start:X}}}-\\x{{{run.stop - 1:X}}}" for run in runs)


def _bytes(codec: codecs.CodecInfo, character: str) -> int | None:
    """How many bytes a character takes; None when it does not survive."""
    try:
        encoded, _ = codec.encode(character)
        decoded, _ = codec.decode(encoded)
    except UnicodeError:
        return None
    return len(encoded) if decoded == character else None
