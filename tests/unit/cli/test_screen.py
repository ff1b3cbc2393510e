"""What is shown is what is there: no markup, no control characters, nothing cut, wide characters in line."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.text import Text

from migrate.cli.screen import Screen, Settings, add_rows, cell, console


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NULL"),
        ("NULL", "NULL"),
        ("[bold]x[/bold] :smile:", "[bold]x[/bold] :smile:"),
        ("a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        (b"\x00\xff", "0x00ff"),
        ("发票　号", "发票\\u3000号"),
        ("", ""),
    ],
)
def test_cells_show_values_as_they_are(value: object, shown: str) -> None:
    """Data cannot style, move or break the table, and an odd space can be seen."""
    assert cell(value).plain == shown


def test_null_and_its_spelling_look_different() -> None:
    """A NULL is styled, the text NULL is not."""
    assert cell(None).style != cell("NULL").style


@pytest.mark.parametrize("width", [40, 80, 100])
def test_tables_fold_and_stay_in_line(width: int) -> None:
    """Chinese text takes two columns a character; long cells fold inside of the width, and no character is lost."""
    screen = Screen(Settings(lang="zh"))
    names = ["北京样例科技有限公司", "a" * 120, "𠮷野家"]
    table = add_rows(screen.table("target", "detail"), ((name, "原因") for name in names))
    out = console(io.StringIO())
    out.width = width
    with out.capture() as capture:
        out.print(table)
    lines = capture.get().splitlines()
    assert all(cell_len(line) <= width for line in lines)
    text = "".join(lines)
    assert all(text.count(char) >= "".join(names).count(char) for char in set("".join(names)))


def test_columns_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output to a file or pipe has the width of COLUMNS, else a fixed one."""
    monkeypatch.setenv("COLUMNS", "77")
    assert console(io.StringIO()).width == 77
    monkeypatch.delenv("COLUMNS")
    assert console(io.StringIO()).width == 120


def test_a_result_is_a_document_or_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` nothing but the document is written, else nothing of it."""
    Screen(Settings(as_json=False)).result({"a": 1}, Text("picture"))
    assert capsys.readouterr().out == "picture\n"
