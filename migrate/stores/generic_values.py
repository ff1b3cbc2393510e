"""Single values between any DBAPI driver and the toolkit's exact types.

Pure. Row by row and value by value, since nothing is known about the driver: correct, and slower than the stores of one database.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Final

from migrate.values import INT64_HIGH, INT64_LOW, LogicalType

_MIDNIGHT: Final = datetime.combine(date.min, time(0))
_WIDE: Final = Context(prec=100)
"""Python's own context refuses what has more than 28 digits."""
_EXACT_DIGITS: Final = 15
"""Significant digits that a binary64 keeps of any decimal."""


def from_driver(value: Any, logical: LogicalType) -> Any:
    """The driver's value as a Python value that `logical.arrow` takes without loss.

    Raises:
        ValueError: it is no such value; the message says why.
    """
    if value is None:
        return None
    try:
        return _READERS[logical.kind](value, logical)
    except (TypeError, InvalidOperation, OverflowError) as error:
        raise ValueError(f"{value!r} is no {logical}") from error


def to_driver(value: Any, logical: LogicalType, dialect: str) -> Any:
    """A value of the toolkit as the driver binds it exactly."""
    if value is None or dialect != "sqlite":
        return value
    # SQLite has none of these types; texts in ISO form are what its own functions and SQLAlchemy's types take.
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return plain.isoformat(sep=" ", timespec="microseconds") + ("+00:00" if logical.kind == "instant" else "")
    if isinstance(value, date):
        return value.isoformat()
    return value.isoformat(timespec="microseconds") if isinstance(value, time) else value


def _integer(value: Any, logical: LogicalType) -> int | Decimal:
    if isinstance(value, float | str | Decimal) and Decimal(value) != int(Decimal(value)):
        raise ValueError(f"{value!r} is no integer")
    number = int(value)
    if not logical.wide and not INT64_LOW <= number <= INT64_HIGH:
        raise ValueError(f"{value!r} is beyond 64 bits")
    return Decimal(number) if logical.wide else number


def _decimal(value: Any, logical: LogicalType) -> Decimal | str:
    if isinstance(value, float):
        if len(repr(value).replace(".", "").replace("-", "").split("e")[0].strip("0")) > _EXACT_DIGITS:
            raise ValueError(f"{value!r} is a floating number with more digits than it can hold")
        value = repr(value)
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{value!r} is no number")
    if not logical.exact_decimal:
        return f"{number:f}"
    scaled = number.quantize(Decimal(1).scaleb(-(logical.scale or 0)), context=_WIDE)
    if scaled != number:
        raise ValueError(f"{value!r} has more than {logical.scale} fraction digits")
    return scaled


def _float(value: Any, _logical: LogicalType) -> float:
    return float(value)


def _boolean(value: Any, _logical: LogicalType) -> bool:
    if value not in (0, 1):
        raise ValueError(f"{value!r} is neither true nor false")
    return bool(value)


def _date(value: Any, _logical: LogicalType) -> date:
    if isinstance(value, datetime):
        if value.time() != time(0):
            raise ValueError(f"{value!r} has a time of day")
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(value)


def _time(value: Any, _logical: LogicalType) -> time:
    if isinstance(value, timedelta):
        if not timedelta(0) <= value < timedelta(days=1):
            raise ValueError(f"{value!r} is no time of day")
        return (_MIDNIGHT + value).time()
    return value if isinstance(value, time) else time.fromisoformat(value)


def _timestamp(value: Any, _logical: LogicalType) -> datetime:
    moment = _moment(value)
    if moment.tzinfo is not None:
        raise ValueError(f"{value!r} has a zone")
    return moment


def _instant(value: Any, _logical: LogicalType) -> datetime:
    moment = _moment(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no zone")
    return moment.astimezone(UTC)


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time(0))
    return datetime.fromisoformat(value)


def _text(value: Any, _logical: LogicalType) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    value.encode()  # a lone surrogate is a byte that the driver could not decode
    return value


def _char(value: Any, logical: LogicalType) -> str:
    text = _text(value, logical)
    return text if logical.keeps_spaces else text.rstrip(" ")


def _bytes(value: Any, _logical: LogicalType) -> bytes:
    if isinstance(value, str):
        raise TypeError(type(value).__name__)
    return bytes(value)


def _uuid(value: Any, _logical: LogicalType) -> str:
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value))
    return str(value if isinstance(value, uuid.UUID) else uuid.UUID(value))


def _any_text(value: Any, _logical: LogicalType) -> str:
    return value if isinstance(value, str) else str(value)


_READERS: Final[dict[str, Callable[[Any, LogicalType], Any]]] = {
    "integer": _integer,
    "decimal": _decimal,
    "float": _float,
    "boolean": _boolean,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "instant": _instant,
    "text": _char,
    "bytes": _bytes,
    "uuid": _uuid,
    "json": _text,
    "unsupported": _any_text,
}
