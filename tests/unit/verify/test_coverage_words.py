"""What is said about how a table was summed up is said in both languages."""

from __future__ import annotations

import re

import pytest

from migrate.verify.notes import NOTES, Note
from migrate.verify.verdict import Coverage

LATIN_SENTENCE = re.compile(r"[a-z]+ [a-z]+ [a-z]+")


@pytest.mark.parametrize(
    "detail",
    [
        "rate: double does not show its bits in MariaDB",
        "name: characters stored in gbk may have no Unicode",
        "doc: jsonb has no canonical form in PostgreSQL; n: zeros are filled in",
        "the database is encoded in EUC_CN, not in UTF-8",
        "the encoding of a row differs at byte 17",
        Note.of("timed", rows=4000, by_sql="18.2", streamed="61.0"),
        Note.of("second_read", rows="1,004 rows", count="1,004"),
    ],
)
def test_a_detail_is_chinese_in_the_chinese_view(detail: str | Note) -> None:
    """No English sentence is left in it; the words of a database stay as they are."""
    (english,), (chinese,) = (
        Coverage("target", "t", "stream", "no_form", detail).sentences(chinese=each) for each in (False, True)
    )
    assert english == (detail if isinstance(detail, str) else detail.text())
    assert not LATIN_SENTENCE.search(chinese), chinese


def test_every_note_has_both_languages_with_the_same_values() -> None:
    """What is put into a note in Chinese is known to whoever makes it for English, too."""
    for name, (english, chinese) in NOTES.items():
        assert re.search("[\u4e00-\u9fff]", chinese), name
        both = (set(re.findall(r"\{(\w+)\}", each)) for each in (english, chinese))
        first, second = both
        assert second <= first | {"count"}, name
