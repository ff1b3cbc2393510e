"""Which characters a charset has, as a regular expression over code points, so that DuckDB can test a column at native speed."""

from __future__ import annotations

import codecs
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
    ranges = _ranges(codec)
    return (
        "[^"
        + "".join(f"\\x{{{low:X}}}-\\x{{{high:X}}}" if high > low else f"\\x{{{low:X}}}" for low, high in ranges)
        + "]"
    )


def _ranges(codec: codecs.CodecInfo) -> list[tuple[int, int]]:
    """Runs of code points that survive a round trip; multi-byte codecs of one charset have none beyond the basic plane."""
    found: list[tuple[int, int]] = []
    for code in range(_BASIC_PLANE):
        if code in _SURROGATES or not _survives(codec, chr(code)):
            continue
        if found and found[-1][1] == code - 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    return found


def _survives(codec: codecs.CodecInfo, character: str) -> bool:
    try:
        encoded, _ = codec.encode(character)
        decoded, _ = codec.decode(encoded)
    except UnicodeError:
        return False
    return decoded == character


@cache
def byte_weight(charset: str | None) -> int | None:
    """Bytes of a character outside of ASCII where all have the same number; None for UTF-8, whose bytes DuckDB counts itself."""
    if charset is None or charset.lower() in ("utf-8", "utf8", "utf8mb4", "utf8mb3", "utf_8"):
        return None
    name = _ALIASES.get(charset.lower(), charset.lower())
    return {"ascii": 1, "cp1252": 1, "iso8859-1": 1, "gbk": 2, "gb2312": 2, "big5": 2, "euc_kr": 2, "ucs2": 2}.get(
        name, 4
    )
