"""A request in words, as options, and as the log keeps it."""

from __future__ import annotations

import pytest

from migrate.rollback.request import Request

CASES = (
    (Request(), True, "the run", ""),
    (Request("skip", 2), False, "pass 2", "--pass 2"),
    (Request(batches=(3,)), False, "batch 3", "--batch 3"),
    (Request(pass_no=1, batches=(3, 5)), False, "batches 3, 5 of pass 1", "--pass 1 --batch 3 --batch 5"),
)


@pytest.mark.parametrize(("request_", "whole", "what", "options"), CASES)
def test_a_request_says_what_it_means(request_: Request, whole: bool, what: str, options: str) -> None:
    """In words, as it is given on the command line, and read back from the log as the same."""
    assert (request_.whole, request_.what, request_.options) == (whole, what, options)
    assert Request.from_json(request_.to_json()) == request_


def test_the_log_of_an_older_version_means_the_whole_run() -> None:
    """Before there were parts, the log said only what becomes of changed rows."""
    assert Request.from_json({"epoch": 3, "changed": "skip"}) == Request("skip")


ONE, TWO, PASS, OF_PASS, ALL = (
    Request(batches=(1,)),
    Request("skip", batches=(1, 2)),
    Request(pass_no=1),
    Request(pass_no=1, batches=(1,)),
    Request(),
)


def test_who_goes_on_may_take_more_and_not_less() -> None:
    """The run covers all, a pass its batches, batches fewer of the same kind; what becomes of changed rows does not matter."""
    covered = {name: [other for other in (ONE, TWO, PASS, OF_PASS, ALL) if each.covers(other)] for name, each in
               {"one": ONE, "two": TWO, "pass": PASS, "of": OF_PASS, "all": ALL}.items()}  # fmt: skip
    assert covered == {
        "one": [ONE],
        "two": [ONE, TWO],
        "pass": [PASS, OF_PASS],
        "of": [OF_PASS],
        "all": [ONE, TWO, PASS, OF_PASS, ALL],
    }
