"""Hash functions over Arrow columns, in native code and without the interpreter's lock.

The choice of the engine is docs/decisions/0002-digest-engine.md. Nothing here knows about rows or types.
"""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# Everything here runs in the calling thread. Polars' own threads would do nothing and hold 20 MB; it reads this when it is imported.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl
import polars_hash as plh

Mask = npt.NDArray[np.bool_]

# Arrow arrays with offsets, which pyarrow's kernels take; polars' own string views they do not.
OFFSETS: Final = pl.CompatLevel.oldest()
# A byte 10xxxxxx stands within a character.
_HIGH_BITS: Final = np.uint8(0xC0)
_CONTINUED: Final = np.uint8(0x80)
_HASHED: Final = plh.col("bytes")
_SHA256_HEX: Final = _HASHED.chash.sha2_256()
# XXH64 with seed 0: an open specification with published test vectors, so it is the same in every version and process.
_XXH64: Final = _HASHED.nchash.xxhash64(seed=0)


def sha256_hex(content: pa.Array) -> pa.Array:
    """SHA-256 in lower-case hex (string) of each value of a binary or string column; null of null."""
    return _hashed(_series(content), _SHA256_HEX).to_arrow(compat_level=OFFSETS).cast(pa.string())


def sha256(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], Mask | None]:
    """SHA-256 of each text, as bytes of shape (n, 32), and which of them have none (None: all have one).

    `texts` is a binary column. A null or a value that is not valid UTF-8 has no digest; its bytes are zero.
    """
    digests = _hashed(valid_utf8(texts), _SHA256_HEX)
    unknown = _nulls(digests)
    written = digests if unknown is None else digests.fill_null("0" * 64)
    return _bytes_of_hex(written.to_arrow(compat_level=OFFSETS)).reshape(-1, 32), unknown


def sha256_of_bytes(content: pa.Array, salt: str) -> pa.Array:
    """SHA-256 of `salt` and each value of a binary column: fixed_size_binary(32); null of null."""
    salted = pc.binary_join_element_wise(pa.scalar(salt.encode()), content, pa.scalar(b""))
    digests = _hashed(_series(salted), _SHA256_HEX)
    unknown = _nulls(digests)
    written = digests if unknown is None else digests.fill_null("0" * 64)
    raw = _bytes_of_hex(written.to_arrow(compat_level=OFFSETS))
    validity = None if unknown is None else pa.py_buffer(np.packbits(~unknown, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(32), len(content), [validity, pa.py_buffer(raw)])


def xxhash64(texts: pa.Array) -> tuple[npt.NDArray[np.uint64], Mask | None]:
    """XXH64 (seed 0) of each text of a binary column, 0 where it has none; otherwise as `sha256`."""
    hashes = _hashed(valid_utf8(texts), _XXH64)
    unknown = _nulls(hashes)
    return (hashes if unknown is None else hashes.fill_null(0)).to_numpy(), unknown


def _nulls(series: pl.Series) -> Mask | None:
    return series.is_null().to_numpy() if series.null_count() else None


def valid_utf8(content: pa.Array) -> pl.Series:
    """The values as text; null where they are not valid UTF-8.

    Valid input, the rule, takes a third of the time of Arrow's own full validation. Polars refuses the whole column for
    one invalid value, so that only then the values are looked at one by one.
    """
    raw = content.cast(pa.large_binary())
    try:
        return _series(raw).cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series([_decoded(value) for value in raw.to_pylist()], dtype=pl.String)


def all_valid_utf8(texts: pa.Array) -> bool:
    """Whether each value of a string column is valid UTF-8; may be False where only what stands at a null is not.

    All bytes are looked at as one text, so that it costs next to nothing a value; no value may begin within a character of it.
    """
    width = np.dtype(np.int64 if pa.types.is_large_string(texts.type) else np.int32)
    _, places, content = texts.buffers()
    if content is None or not len(texts):
        return True
    offsets = np.frombuffer(places, width, count=len(texts) + 1, offset=texts.offset * width.itemsize)
    first, last = int(offsets[0]), int(offsets[-1])
    if first == last:
        return True
    whole = pa.py_buffer(np.array([first, last], np.int64))
    one_text = pa.Array.from_buffers(pa.large_binary(), 1, [None, whole, content])
    try:
        _series(one_text).cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    raw = np.frombuffer(content, np.uint8)
    begins = raw[offsets[:-1][offsets[:-1] < last]]
    return not bool(((begins & _HIGH_BITS) == _CONTINUED).any())


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def invalid_utf8(content: pa.Array) -> Mask | None:
    """Which values are null or not valid UTF-8 (None: none)."""
    return _nulls(valid_utf8(content))


def either(first: Mask | None, second: Mask | None) -> Mask | None:
    """The rows of one mask or the other, where None is an empty mask."""
    if first is None or second is None:
        return second if first is None else first
    return first | second


def decimal_texts(values: pa.Array) -> pa.Array:
    """Plain notation with exactly the type's scale, `-0` as `0`; Arrow's own cast writes 1E-7 for small values."""
    return _series(values).cast(pl.String).to_arrow(compat_level=OFFSETS).cast(pa.string())


def _series(values: pa.Array) -> pl.Series:
    series: Any = pl.from_arrow(values)
    return series  # type: ignore[no-any-return]


def _hashed(content: pl.Series, hash_function: Any) -> pl.Series:
    return content.alias("bytes").to_frame().select(hash_function).to_series()


def _hex_pairs() -> npt.NDArray[np.uint8]:
    """The byte for each pair of hex digits read as a little-endian 16-bit number."""
    table = np.zeros(65_536, np.uint8)
    for byte in range(256):
        table[int.from_bytes(b"%02x" % byte, "little")] = byte
    return table


_HEX_PAIRS: Final = _hex_pairs()


def _bytes_of_hex(digests: pa.LargeStringArray) -> npt.NDArray[np.uint8]:
    if not len(digests):
        return np.zeros(0, np.uint8)
    _, offsets, data = digests.buffers()
    first = np.frombuffer(offsets, np.int64)[digests.offset]
    pairs = np.frombuffer(data, "<u2", count=32 * len(digests), offset=int(first))
    return _HEX_PAIRS.take(pairs)


def hex_texts(content: npt.NDArray[np.uint8], width: int) -> pa.Array:
    """The bytes, `width` of them for each text, as lower-case hex in a string column."""
    digits = _HEX_DIGITS.take(content)
    length = 2 * width
    offsets = np.arange(len(content) // width + 1, dtype=np.int32) * np.int32(length)
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(digits))


_HEX_DIGITS: Final = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), "<u2")


def merge(pieces: list[Any]) -> pa.Array:
    """For each row the pieces one after the other, nulls left out: one string column, computed in this thread."""
    return pc.binary_join_element_wise(*pieces, _NOTHING, null_handling="skip")


_NOTHING: Final = pa.scalar("")
