"""Settings: a file is overridden by the environment, that by arguments; what is wrong is named with where it came from."""

import os

import pytest

from asmu_engine.config import EngineConfig, make_config
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.device import Virtual, device_from_wire
from asmu_engine.protocol.errors import ConfigError


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for key in ("DEVICE", "SAMPLERATE", "BLOCKSIZE", "RING_SECONDS", "PRIORITY"):
        monkeypatch.delenv(f"ASMU_{key}", raising=False)


@pytest.fixture
def toml(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "lab.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def refused(*args: object, **arguments: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        make_config(*args, **arguments)
    assert caught.value.code == "bad_config"
    return caught.value


def test_defaults():
    config = make_config()
    assert (config.name, config.device, config.samplerate, config.blocksize) == ("default", "portaudio", 44100, 1024)
    assert (config.ring_seconds, config.priority, config.plugins, config.inputs) == (10.0, 70, (), None)


def test_arguments_override_the_environment_which_overrides_the_file(toml, monkeypatch):
    path = toml('device = "virtual"\nsamplerate = 48000\nblocksize = 64\nname = "lab"\nplugins = ["mine"]\ninputs = [1, 5]\n')
    monkeypatch.setenv("ASMU_SAMPLERATE", "96000")
    monkeypatch.setenv("ASMU_BLOCKSIZE", "128")
    config = make_config(path, blocksize=256, device=None)
    assert (config.device, config.samplerate, config.blocksize) == ("virtual", 96000, 256)
    assert (config.name, config.plugins, config.inputs) == ("lab", ("mine",), [1, 5])


def test_each_variable_of_the_environment(monkeypatch):
    values = {"DEVICE": "offline", "SAMPLERATE": "8000.5", "BLOCKSIZE": "32", "RING_SECONDS": "60", "PRIORITY": "0"}
    for key, value in values.items():
        monkeypatch.setenv(f"ASMU_{key}", value)
    config = make_config()
    assert (config.device, config.samplerate, config.blocksize) == ("offline", 8000.5, 32)
    assert (config.ring_seconds, config.priority) == (60.0, 0)


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("ASMU_DEVICE", "")
    assert make_config().device == "portaudio"


def test_an_unknown_key_is_refused_with_those_that_exist(toml):
    path = toml("sample_rate = 48000\n")
    error = refused(path)
    assert error.where == "sample_rate"
    assert str(error).startswith(f"sample_rate (from {path}): ")
    assert "known settings: name, device, samplerate, blocksize" in str(error)
    assert "frames (from argument)" in str(refused(frames=3))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("samplerate", 0),
        ("samplerate", float("nan")),
        ("samplerate", float("inf")),
        ("samplerate", 1_536_001),
        ("blocksize", 0),
        ("blocksize", 65537),
        ("blocksize", 1.5),
        ("blocksize", "many"),
        ("ring_seconds", 0.5),
        ("ring_seconds", 3601),
        ("priority", 99),
        ("priority", -1),
        ("name", "a b"),
        ("name", "lab\n"),
        ("name", ""),
        ("inputs", [0]),
        ("outputs", [1025]),
        ("device", 5),
        ("plugins", "mine"),
        ("lock_memory", "perhaps"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_origin(key, value):
    error = refused(**{key: value})
    assert error.where == key
    assert str(error).startswith(f"{key} (from argument): ")


def test_ends_of_ranges_are_allowed():
    config = make_config(samplerate=1, blocksize=65536, ring_seconds=3600, priority=98, name="x" * 63, inputs=[1024])
    assert (config.samplerate, config.blocksize) == (1, 65536)


def test_a_variable_that_is_wrong_is_named(monkeypatch):
    monkeypatch.setenv("ASMU_BLOCKSIZE", "large")
    assert "blocksize (from ASMU_BLOCKSIZE): " in str(refused())
    assert "got 'large'" in str(refused())


@pytest.mark.parametrize("text", ["blocksize = \n", "blocksize 64", 'device = "virtual\n'])
def test_bad_toml_is_refused_with_its_place(toml, text):
    path = toml(text)
    error = refused(path)
    assert error.where == path
    assert "is not valid TOML" in str(error)
    assert "line 1" in str(error)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "is not valid TOML" in str(refused(path))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    missing = tmp_path / "none.toml"
    assert str(refused(missing)) == f"{missing}: cannot be read: {os.strerror(2)}"
    assert str(refused(tmp_path)) == f"{tmp_path}: cannot be read: {os.strerror(21)}"


def test_settings_cross_the_wire_whole():
    device = Virtual(inputs=1, outputs=2, matrix=[[1.0, 0.5]])
    config = make_config(name="lab", device=device.to_wire(), inputs=[1, 2], plugins=["a", "b.py"])
    back = EngineConfig(**unpack(pack(config.to_wire())))
    assert back == config
    assert device_from_wire(back.device) == device


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        make_config().blocksize = 5


@pytest.mark.parametrize("listen", ["5555", "tcp://*", "ipc:///tmp/x", "tcp://:5555", "tcp://a b:1", "tcp://*:5555\n"])
def test_a_malformed_listen_is_refused_in_words(listen):
    with pytest.raises(ConfigError) as caught:
        make_config(listen=listen)
    assert caught.value.where == "listen"
    assert "use tcp://ADDRESS:PORT, such as tcp://*:5555" in caught.value.message
    assert "pattern" not in caught.value.message


@pytest.mark.parametrize("listen", ["", "tcp://*:5555", "tcp://127.0.0.1:*", "tcp://[::1]:7", "tcp://lab.example:80"])
def test_an_address_to_listen_at(listen):
    assert make_config(listen=listen).listen == listen
