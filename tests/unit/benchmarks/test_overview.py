"""The list of all benchmarks and their short runs, and the operations whose instructions are counted."""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest

from benchmarks import _callgrind
from benchmarks.__main__ import HERE, LONG, QUICK, questions
from benchmarks._counted import OPERATIONS
from benchmarks.counts import slopes


def test_every_benchmark_has_a_question_and_can_be_run() -> None:
    known = questions()
    assert {"chain", "counts", "edits", "memory"} <= known.keys()
    assert "compare" not in known
    assert not any(name.startswith("_") for name in known)
    for name, question in known.items():
        assert question.endswith((".", "?")), name
        assert 'if __name__ == "__main__":' in (HERE / f"{name}.py").read_text(encoding="utf-8"), name
    assert known.keys() >= {*LONG, *QUICK}


@pytest.mark.parametrize("name", QUICK)
def test_a_short_run_gives_options_that_there_are(name: str) -> None:
    source = (HERE / f"{name}.py").read_text(encoding="utf-8")
    options = [option for option in QUICK[name] if option.startswith("--")]
    assert options
    assert [option for option in options if f'"{option}"' not in source] == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_can_be_done(name: str) -> None:
    with ExitStack() as stack:
        call = OPERATIONS[name].make(stack)
        call()
        call()
    assert OPERATIONS[name].short < OPERATIONS[name].long


def test_functions_of_a_run_add_up_to_its_sum() -> None:
    head, calls = "summary: 49\n\nob=(1) /lib\n", "cfi=(2) copy.c\ncfn=(2) copy\ncalls=2 0\n+1 46\n"
    text = f"{head}fn=(1) main\n15 3\n{calls}\nfn=(2)\n7 30\n* 10\n-1 6\n"
    assert _callgrind.by_function(text) == {"main": 3, "copy": 46}
    assert _callgrind.total(text) == 49


def test_what_both_stretches_do_once_is_not_in_the_slope() -> None:
    found = slopes((2, 6), _callgrind.by_function("fn=(1) a\n1 120\n"), _callgrind.by_function("fn=(1) a\n1 320\n"))
    assert found == {"a": 50.0}


def test_without_valgrind_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match=re.escape("valgrind is not on the PATH")):
        _callgrind.version()
