"""The page and the JSON Schema say all there is: each message, field, code and role; their examples are what the classes take."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import asmu_engine
from asmu_control.cli.main import VERBS, app
from asmu_engine.host.events import Topic
from asmu_engine.protocol import edits, errors
from asmu_engine.protocol.codes import CODES, MEANINGS
from asmu_engine.protocol.document import page, section
from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.fields import example, json_text
from asmu_engine.protocol.messages import Request, parse_request
from asmu_engine.protocol.replies import ANSWERS, MESSAGES, check_result
from asmu_engine.protocol.reply import ANY_REFUSALS
from asmu_engine.protocol.schema import json_schema
from asmu_engine.protocol.topics import EVENTS, check_event, event_name

SCHEMA = json_schema()
PAGE = page()
REQUESTS = {str(request.model_fields["type"].default): request for request in ANSWERS}
MODELS = [model for models in EVENTS.values() for model in models]
runner = CliRunner()
ROOT = Path(asmu_engine.__path__[0]).parent


def named(name: str) -> Any:
    return example({"$ref": f"#/$defs/{name}"}, SCHEMA["$defs"])


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_request_has_an_answer() -> None:
    assert set(ANSWERS) == set(Request.__subclasses__())


@pytest.mark.parametrize("kind", REQUESTS)
def test_the_example_of_a_request_and_of_its_answer_are_such(kind: str) -> None:
    request = REQUESTS[kind]
    assert type(parse_request(named(request.__name__))) is request
    check_result(request, example(SCHEMA["results"][kind], SCHEMA["$defs"]))


@pytest.mark.parametrize("edit", edits._Edit.__subclasses__(), ids=lambda edit: edit.__name__)
def test_the_example_of_an_edit_is_one(edit: type[BaseModel]) -> None:
    message = {"v": 1, "id": 1, "type": "transaction", "edits": [named(edit.__name__)]}
    assert type(parse_request(message).edits[0]) is edit


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_example_of_an_event_is_one(model: type[Any]) -> None:
    assert type(check_event(named(model.__name__))) is model


@pytest.mark.parametrize("model", MESSAGES, ids=lambda model: model.__name__)
def test_the_example_of_what_comes_back_is_such(model: type[BaseModel]) -> None:
    model.model_validate(named(model.__name__))


def test_every_field_says_what_it_is() -> None:
    told_apart = {"type", "op", "event"}
    bare = [
        f"{name}.{field}"
        for name, definition in SCHEMA["$defs"].items()
        for field, schema in definition.get("properties", {}).items()
        if not schema.get("description") and field not in told_apart
    ]
    assert bare == []
    assert [name for name, d in SCHEMA["$defs"].items() if "properties" in d and not d.get("description")] == []


def test_numbers_of_time_and_frequency_have_their_unit() -> None:
    definitions = SCHEMA["$defs"]
    for name, field, unit in (
        ("HelloReply", "samplerate", "Hz"),
        ("HelloReply", "grace", "s"),
        ("Clock", "utc_ns", "ns"),
        ("ProfileReply", "nodes", "µs"),
        ("Hello", "grace", "s"),
        ("RecordJob", "seconds", "s"),
    ):
        assert re.search(rf"\b{unit}\b", definitions[name]["properties"][field]["description"]), (name, field)


def test_the_topics_are_those_that_are_published() -> None:
    assert set(EVENTS) == set(get_args(Topic))
    assert all(model.model_fields["topic"].default == topic for topic, models in EVENTS.items() for model in models)


def test_every_code_is_explained_once() -> None:
    tree = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", (errors.__doc__ or "").partition("An error crosses")[0])) | {
        word for word in ("leased", "cycle", "timeout")
    }
    assert set(CODES) == tree
    assert sum(map(len, MEANINGS.values())) == len(CODES)
    assert {cls.family for cls in MEANINGS} == set(errors._FAMILIES)


def test_every_code_that_a_request_may_meet_is_one() -> None:
    for answer in ANSWERS.values():
        assert set(answer.refusals) <= set(CODES), answer
        assert not set(answer.refusals) & set(ANY_REFUSALS), answer
        assert len(set(answer.refusals)) == len(answer.refusals), answer
    assert set(ANY_REFUSALS) <= set(CODES)


def test_the_schema_is_whole() -> None:
    assert {reference.removeprefix("#/$defs/") for reference in references(SCHEMA)} <= set(SCHEMA["$defs"])
    assert set(SCHEMA["results"]) == set(REQUESTS)
    assert set(SCHEMA["$defs"]["Request"]["discriminator"]["mapping"]) == set(REQUESTS)
    assert len(SCHEMA["$defs"]["Event"]["anyOf"]) == len(MODELS)
    assert {"v", "type", "id"} <= set(SCHEMA["$defs"]["Hello"]["required"])
    assert "op" in SCHEMA["$defs"]["Set"]["required"]
    assert ">>>" not in json.dumps(SCHEMA)


def test_the_page_has_everything() -> None:
    for kind, request in REQUESTS.items():
        assert f"\n### {kind}\n" in PAGE
        text = section(kind)
        assert f"Needs the role `{request.needs}`" in text
        for field in request.model_fields.keys() - {"v", "id", "type"}:
            assert f"| `{field}` |" in text
    for topic, models in EVENTS.items():
        assert f"\n### Topic `{topic}`\n" in PAGE
        for model in models:
            assert f"\n#### {topic}: {event_name(model)}" in PAGE
    for code in CODES:
        assert f"| `{code}` |" in PAGE
    links = set(re.findall(r"\]\(#([a-z]+)\)", PAGE))
    assert links <= {heading.lower() for heading in re.findall(r"(?m)^### (\w+)$", PAGE)}
    assert "\n\n\n" not in PAGE


def test_what_is_on_the_page_is_json() -> None:
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) > 80
    for block in blocks:
        json.loads(block)
        assert max(map(len, block.splitlines())) < 130


@pytest.mark.parametrize("value", [{}, [], {"a": {"b": ["x" * 60, "y" * 60, {"c": "z" * 120}]}}, [{"a": "x" * 100, "b": 1}]])
def test_json_text_is_the_same_value(value: Any) -> None:
    assert json.loads(json_text(value)) == value


def test_one_message_alone() -> None:
    assert section("transaction") in PAGE
    assert section("xrun") in PAGE
    assert section("patch events") in PAGE
    assert section("DeviceFacts") in PAGE
    assert section("beat") in PAGE
    with pytest.raises(ConfigError, match=r"no message 'nonsense'; messages: .*transaction"):
        section("nonsense")


def test_the_command() -> None:
    assert runner.invoke(app, ["protocol"]).output == PAGE
    assert runner.invoke(app, ["protocol", "ping"]).output == section("ping")
    assert json.loads(runner.invoke(app, ["protocol", "--schema"]).output) == SCHEMA


def test_every_verb_is_there_and_explains_itself() -> None:
    shown = runner.invoke(app, ["--help"]).output
    for verb in VERBS:
        assert re.search(rf"(?m)^│ {verb} +\w", shown), verb
        result = runner.invoke(app, [verb, "--help"])
        assert result.exit_code == 0, result.output
        assert f"asmu {verb} " in result.output.replace("root ", "asmu ")
    assert runner.invoke(app, ["sing"]).exit_code == 2


def test_a_verb_is_loaded_when_it_is_called() -> None:
    program = "import sys; from asmu_control.cli import main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {f"asmu_control.cli.{verb}" for verb in VERBS} & loaded
    assert not {"zmq", "numpy", "pydantic", "matplotlib"} & loaded


def test_the_page_needs_no_socket_and_no_audio() -> None:
    program = "import sys; from asmu_engine.protocol import document; document.page(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"zmq", "numpy", "soundfile", "sounddevice"} & set(done.stdout.split())
