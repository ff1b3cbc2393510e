"""Keys as exact, typed JSON text: what the ledger keeps of a border, and what undo and pending records name.

`dump_key` is injective: two keys with the same text are the same values of the same types, whatever their size.
Pure. Changing the format breaks ledgers in the field.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

from migrate.errors import InputError
from migrate.values import Key, KeyValue

# Python refuses to print longer integers in decimal by default; hexadecimal has no limit and is read in linear time.
_DECIMAL_BITS: Final = 4096


def dump_key(key: Key) -> str:
    """The key as JSON: one `[tag, text]` per value, `null` for NULL.

    Tags: `b` boolean, `i` integer, `h` integer in hexadecimal, `f` float in C99 hexadecimal, `n` decimal, `s` text,
    `x` bytes in hexadecimal, `d` date, `m` time, `t` timestamp without zone, `z` instant with its offset.
    """
    return json.dumps([None if value is None else _tagged(value) for value in key], separators=(",", ":"))


def load_key(text: str) -> Key:
    """The key that `dump_key` wrote.

    Raises:
        InputError: the text is not such a key.
    """
    try:
        return tuple(_value(item) for item in json.loads(text))
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise InputError(f"not a key: {text!r}") from error


def key_text(key: Key) -> str:
    """The values of a key as people read them; not injective."""
    return ", ".join("NULL" if value is None else "''" if value == "" else _plain(value) for value in key)


def _plain(value: KeyValue) -> str:
    if isinstance(value, bytes):
        return f"x{value.hex().upper()}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tagged(value: KeyValue) -> tuple[str, str]:
    for kind, tag, write in _WRITERS:
        if isinstance(value, kind):
            if tag == "i" and isinstance(value, int) and value.bit_length() > _DECIMAL_BITS:
                return "h", hex(value)
            return (_with_zone(tag, value)), write(value)
    raise InputError(f"a key cannot hold a {type(value).__name__}")


def _with_zone(tag: str, value: KeyValue) -> str:
    return "z" if isinstance(value, datetime) and value.tzinfo is not None else tag


def _value(item: Any) -> KeyValue:
    if item is None:
        return None
    tag, text = item
    if not isinstance(text, str):
        raise TypeError(text)
    return _READERS[tag](text)


def _read_boolean(text: str) -> bool:
    return {"0": False, "1": True}[text]


# Order matters: bool is an int, and datetime is a date.
_WRITERS: Final[tuple[tuple[type, str, Callable[[Any], str]], ...]] = (
    (bool, "b", lambda value: "1" if value else "0"),
    (int, "i", str),
    (float, "f", float.hex),
    (Decimal, "n", str),
    (str, "s", str),
    (bytes, "x", bytes.hex),
    (datetime, "t", datetime.isoformat),
    (date, "d", date.isoformat),
    (time, "m", time.isoformat),
)
_READERS: Final[dict[str, Callable[[str], KeyValue]]] = {
    "b": _read_boolean,
    "i": int,
    "h": lambda text: int(text, 16),
    "f": float.fromhex,
    "n": Decimal,
    "s": str,
    "x": bytes.fromhex,
    "d": date.fromisoformat,
    "m": time.fromisoformat,
    "t": datetime.fromisoformat,
    "z": datetime.fromisoformat,
}
