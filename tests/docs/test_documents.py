"""Every command that README.md and docs/ show is run, and every link is followed."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, Command, File, Unchecked, anchors, documents, links, missing_line, steps

DATABASES = {"POSTGRES_URL": "postgresql", "MARIADB_URL": "mariadb"}
COMMAND_SECONDS = 120


class Reader:
    """Somebody who follows a document word by word, in a folder of their own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder / "reader"
        self.folder.mkdir()
        (self.folder / "mappings").symlink_to(ROOT / "mappings", target_is_directory=True)
        self._environment = environment
        self._state = folder / "state.sh"
        self._state.write_text(f"cd {shlex.quote(str(self.folder))}\n")

    def do(self, step: Command | File | Unchecked) -> str | None:
        """Take one step; the complaint of the reader, or None."""
        if isinstance(step, Unchecked):
            return "this shell block is neither a ```console block at the left margin nor says <!-- not run: REASON -->"
        if isinstance(step, File):
            path = self.folder / step.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.content, encoding="utf-8")
            return None
        return self._run(step)

    def _run(self, command: Command) -> str | None:
        state = shlex.quote(str(self._state))
        script = f'. {state}\n{command.text}\ncode=$?\n{{ export -p; printf "cd %q\\n" "$PWD"; }} > {state}\nexit $code'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        shown = f"$ {command.text}\n{done.stdout}"
        if done.returncode != command.exit_code:
            return f"exit {done.returncode}, the document says {command.exit_code}\n{shown}"
        missing = missing_line(command.output, done.stdout)
        return None if missing is None else f"the output lacks, in this place: {missing}\n{shown}"


def follow(text: str, folder: Path, environment: dict[str, str]) -> str | None:
    """Follow a document to its first wrong step; the complaint with its line, or None."""
    reader = Reader(folder, environment)
    for step in steps(text):
        complaint = reader.do(step)
        if complaint is not None:
            return f"{step.line}: {complaint}"
    return None


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a reader: the commands of this installation first, a terminal of fixed width."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PATH": path, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", "COLUMNS": "120"}


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_do_what_the_document_says(
    document: Path, tmp_path: Path, environment: dict[str, str], new_database: Callable[[str], str]
) -> None:
    """Each shown command exits as stated and prints what is shown."""
    text = document.read_text(encoding="utf-8")
    for name, kind in DATABASES.items():
        if any(isinstance(step, Command) and name in step.text for step in steps(text)):
            environment[name] = new_database(kind)
    complaint = follow(text, tmp_path, environment)
    if complaint is not None:
        pytest.fail(f"{document.relative_to(ROOT)}:{complaint}", pytrace=False)


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Each relative link names a file that exists, and a heading that is in it."""
    broken = []
    for line, address in links(document.read_text(encoding="utf-8")):
        if "://" in address or address.startswith("mailto:"):
            continue
        name, _, anchor = address.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists():
            broken.append(f"{document.relative_to(ROOT)}:{line}: {address}: there is no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            broken.append(f"{document.relative_to(ROOT)}:{line}: {address}: there is no such heading")
    if broken:
        pytest.fail("\n".join(broken), pytrace=False)


GOOD = """
# A title, 中文

<!-- file: names/a.txt -->
```text
one
two
```

```console
$ export GREETING=hello
$ cat names/a.txt | wc -l
2
$ mkdir deep && cd deep
$ echo "$GREETING" \\
>   world; echo second; echo rows 12 in 0.3 s
hello   world
rows … in … s
$ basename "$PWD"; exit 5 # exit 5
deep
```

<!-- not run: it would take the day -->
```sh
sleep 86400
```
"""


def test_a_document_that_is_right_is_followed_to_its_end(tmp_path: Path, environment: dict[str, str]) -> None:
    """Files, continued lines, variables, folders, marked exits and open places in the output all work."""
    assert follow(GOOD, tmp_path, environment) is None


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("# exit 5", "# exit 4", "19: exit 5, the document says 4"),
        (" # exit 5", "", "19: exit 5, the document says 0"),
        ("\nhello   world\n", "\nrows … in … s\nhello world\n", "15: the output lacks, in this place: hello world"),
        ("\n2\n", "\n3\n", "12: the output lacks, in this place: 3"),
        ("\n<!-- not run: it would take the day -->", "", "23: this shell block"),
        ("\n# A title, 中文\n", "\n1. First\n   ```console\n   $ false\n   ```\n", "3: this shell block"),
        ("echo second", "false", None),
    ],
)
def test_a_document_that_is_wrong_is_found_out(
    old: str, new: str, complaint: str | None, tmp_path: Path, environment: dict[str, str]
) -> None:
    """A wrong exit, a missing or misplaced line of output and an unchecked shell block are named with their line."""
    assert old in GOOD
    found = follow(GOOD.replace(old, new), tmp_path, environment)
    if complaint is None:
        assert found is None  # only the last command of a line decides, as in a shell
    else:
        assert found is not None
        assert found.startswith(complaint)


def test_links_and_headings_are_read_as_on_github() -> None:
    """Links inside code are no links; Chinese headings and punctuation make the anchors that GitHub makes."""
    text = "# One, two: 三\n[a](b.md#c) ![p](d.svg)\n```text\n[no](no.md)\n```\n[e](#f)\n"
    assert list(links(text)) == [(2, "b.md#c"), (2, "d.svg"), (6, "#f")]
    assert anchors(text) == {"one-two-三"}


def test_the_chinese_readme_shows_the_same_commands_files_and_outputs() -> None:
    """Both READMEs tell the same: every block of one stands in the other, in the same order."""
    english, chinese = (
        re.findall(r"^```.*?^```$", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for name in ("README.md", "README.zh-CN.md")
    )
    assert english
    assert english == chinese
