"""Errors keep their class and every fact on the wire and through pickle; the tree in the docstring is complete."""

import ast
import copy
import functools
import pickle
import re
from pathlib import Path

import pytest

import asmu_engine
from asmu_engine.protocol import errors
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import AsmuError, EngineError, EngineTimeout, PatchError, from_wire

FAMILIES = sorted(errors._FAMILIES.items())
PACKAGES = [Path(asmu_engine.__path__[0]), Path(asmu_engine.__path__[0]).parent / "asmu_control"]


@pytest.fixture(params=[cls for _, cls in FAMILIES], ids=[family for family, _ in FAMILIES])
def error(request):
    return request.param("it is so – and not so", code="a_code", where="gain1.gain", retry=True)


def facts(error: AsmuError) -> tuple[object, ...]:
    return type(error), str(error), error.message, error.code, error.where, error.retry


def test_an_error_crosses_the_wire_whole(error):
    wire = error.to_wire()
    assert set(wire) == {"code", "family", "message", "where", "retry"}
    assert facts(from_wire(unpack(pack(wire)))) == facts(error)


def test_an_error_crosses_a_process_boundary_by_pickle(error):
    error.add_note("seen in a worker")
    back = pickle.loads(pickle.dumps(error))
    assert facts(back) == facts(error)
    assert back.__notes__ == ["seen in a worker"]
    assert facts(copy.copy(error)) == facts(error)


def test_every_subclass_has_a_family_of_its_own():
    def below(cls):
        return {cls} | {deeper for sub in cls.__subclasses__() for deeper in below(sub)}

    classes = {cls for cls in below(AsmuError) - {AsmuError} if cls.__module__.startswith("asmu_engine")}
    assert classes == {cls for _, cls in FAMILIES}
    assert all(cls.family == family for family, cls in FAMILIES)


def test_an_unknown_family_keeps_its_text():
    error = from_wire({"family": "of tomorrow", "message": "new trouble", "code": "new_code", "where": "x", "retry": True})
    assert facts(error) == (EngineError, "new trouble", "new trouble", "new_code", "x", True)


def test_an_empty_reply_is_still_an_error():
    assert facts(from_wire({})) == (
        EngineError,
        "the engine gave no reason",
        "the engine gave no reason",
        "engine_failed",
        "",
        False,
    )


def test_bad_values_are_value_errors_and_a_timeout_is_an_engine_error():
    assert issubclass(PatchError, ValueError)
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(EngineTimeout, EngineError)
    assert not issubclass(errors.DeviceError, ValueError)


@functools.cache
def codes_of_the_tree() -> dict[str, set[str]]:
    """Of each class, the codes that the docstring names."""
    tree: dict[str, set[str]] = {}
    current = ""
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"\s+(?:│\s+)?[├└]── (\w+)", line):
            current = match.group(1)
            tree[current] = set()
        elif not re.match(r"\s+│\s", line):
            continue
        words = re.sub(r"[├└│─]|\(.*?\)|\b[A-Z]\w+", " ", line).split()
        tree.setdefault(current, set()).update(words)
    return tree


def raised_codes() -> list[tuple[str, str, str]]:
    """(place, class, code) of every error that is made with a literal code."""
    found = []
    for file in (file for package in PACKAGES for file in sorted(package.rglob("*.py"))):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in codes_of_the_tree():
                for keyword in call.keywords:
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        found.append((f"{file.name}:{call.lineno}", call.func.id, str(keyword.value.value)))
    return found


def test_the_tree_names_every_code_that_is_raised():
    tree = codes_of_the_tree()
    assert set(tree) == {cls.__name__ for _, cls in FAMILIES}
    assert len(raised_codes()) > 100
    assert [entry for entry in raised_codes() if entry[2] not in tree[entry[1]]] == []
