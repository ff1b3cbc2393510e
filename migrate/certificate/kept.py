"""Checkpoints that were kept outside of the database: in a certificate, as a signed note, or as three lines on a sheet of paper."""

from __future__ import annotations

from pathlib import Path

from migrate.certificate.document import check_envelope
from migrate.errors import InputError, NotProven
from migrate.signing.canonical import parse_strictly
from migrate.signing.keys import read_public_key
from migrate.signing.note import Checkpoint, open_checkpoint, read_checkpoint


def read_kept_checkpoint(file: Path, trusted: Path | None) -> Checkpoint:
    """The checkpoint of a certificate or signed note, under the trusted public key; without a key, three lines that are trusted as they stand.

    Raises NotProven for what the key did not sign, InputError for a file that cannot be read, or that is signed while no key is given.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", next_step="check the name of the file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text in UTF-8", next_step="check the name of the file") from error
    if trusted is None:
        if text.startswith("{") or any(line.startswith("— ") for line in text.splitlines()):
            raise InputError(
                f"{file} is signed: by whom shall it be?", next_step="--trust PUBKEY, the key of whoever issued it"
            )
        # Typed by people on any system: margins, blank lines and line ends say nothing.
        lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
        return read_checkpoint("".join(f"{line}\n" for line in lines if line))
    key = read_public_key(trusted)
    if not text.startswith("{"):
        return open_checkpoint(text, key)
    try:
        return check_envelope(parse_strictly(text), key).checkpoint
    except ValueError as error:
        raise NotProven("form", f"neither a certificate nor a signed checkpoint: {error}", where=str(file)) from error
