"""Parameters accept what they say and name what they refuse; a kind crosses the wire whole."""

import math
import struct

import pytest

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, ONE_PORT, Kind, Parameter, Ports, check_name
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import MAX_CHANNELS, NAME_PATTERN

LEVEL = Parameter("level", unit="dB", minimum=-120.0, maximum=20.0, per_channel=True)
COUNT = Parameter("count", type="int", default=1, minimum=0, maximum=100)
FREE = Parameter("free")
WHOLE = Parameter("whole", type="int", default=0)
SWITCH = Parameter("switch", type="bool", default=False)
MODE = Parameter("mode", type="choice", default="mean", choices=("mean", "sum"))
LABEL = Parameter("label", type="text", default="")
TABLE = Parameter("table", type="array", default=None)
NEEDED = Parameter("needed", type="array")
ROW = Array("f4", (2,), struct.pack("<2f", 1, 2))


@pytest.mark.parametrize(
    ("parameter", "value", "canonical"),
    [
        (LEVEL, -6, -6.0),
        (LEVEL, -120.0, -120.0),
        (LEVEL, 20, 20.0),
        (LEVEL, [0, -3.5], [0.0, -3.5]),
        (LEVEL, (1, 2), [1.0, 2.0]),
        (COUNT, 100, 100),
        (COUNT, 7.0, 7),
        (WHOLE, -(2**63), -(2**63)),
        (WHOLE, 2**63 - 1, 2**63 - 1),
        (FREE, -1e300, -1e300),
        (SWITCH, True, True),
        (MODE, "sum", "sum"),
        (LABEL, "Ω", "Ω"),
        (TABLE, None, None),
        (TABLE, ROW, ROW),
        (NEEDED, ROW, ROW),
    ],
)
def test_what_is_allowed_comes_back_in_its_canonical_form(parameter, value, canonical):
    checked = parameter.check(value, 2, "node")
    assert checked == canonical
    assert type(checked) is type(canonical)


@pytest.mark.parametrize(
    ("parameter", "value", "what"),
    [
        (LEVEL, "0", "'0' is not a number"),
        (LEVEL, True, "True is not a number"),
        (LEVEL, None, "None is not a number"),
        (LEVEL, math.nan, "nan is not finite"),
        (LEVEL, -math.inf, "-inf is not finite"),
        (LEVEL, 20.1, "20.1 dB is outside -120 to 20 dB"),
        (LEVEL, -121, "-121 dB is outside -120 to 20 dB"),
        (LEVEL, [0.0], "1 values for 2 channels; give one, or one a channel"),
        (LEVEL, [0.0, 0.0, 0.0], "3 values for 2 channels"),
        (LEVEL, [], "0 values for 2 channels"),
        (LEVEL, [0.0, math.nan], "nan is not finite"),
        (LEVEL, [0.0, [0.0]], "[0.0] is not a number"),
        (LEVEL, [0.0, 21], "21 dB is outside"),
        (LEVEL, ROW, "is not a number"),
        (LEVEL, {"x": 1}, "is not a number"),
        (COUNT, [1, 1], "[1, 1] is not a number"),
        (COUNT, 0.5, "0.5 is not a whole number"),
        (COUNT, -1, "-1 is outside 0 to 100"),
        (COUNT, math.nan, "nan is not finite"),
        (COUNT, 10**400, "more than the 64 bits"),
        (WHOLE, 1e30, "more than the 64 bits"),
        (WHOLE, 2**63, "more than the 64 bits"),
        (FREE, 10**400, "more than the 64 bits"),
        (SWITCH, 1, "1 is not true or false"),
        (MODE, "median", "'median' is not one of mean, sum"),
        (MODE, ["mean"], "is not one of mean, sum"),
        (MODE, None, "None is not one of"),
        (LABEL, 5, "5 is not a text"),
        (LABEL, b"x", "is not a text"),
        (TABLE, [1.0, 2.0], "a list is not an array"),
        (NEEDED, None, "a NoneType is not an array"),
        (TABLE, Array("f4", (1,), struct.pack("<f", math.nan)), "the array holds NaN or infinite values"),
    ],
)
def test_what_is_refused_is_named(parameter, value, what):
    with pytest.raises(PatchError) as caught:
        parameter.check(value, 2, "gain1")
    error = caught.value
    assert (error.code, error.where) == ("bad_value", f"gain1.{parameter.name}")
    assert str(error).startswith(f"gain1.{parameter.name}: ")
    assert what in str(error)


KIND = Kind(
    name="mixer",
    role="effect",
    inputs=ANY_PORTS,
    outputs=Ports(1, 8),
    parameters=(LEVEL, COUNT, FREE, SWITCH, MODE, LABEL, TABLE),
    calls=("restart",),
    ring="tap",
    breaks_cycle=True,
    doc="Mixes.",
)


def test_a_kind_crosses_the_wire_whole():
    back = Kind.from_wire(unpack(pack(KIND.to_wire())))
    assert back == KIND
    assert back.parameters[0].minimum == -120.0
    assert back.parameters[2].maximum == math.inf


def test_every_core_of_the_engine_crosses_the_wire():
    from asmu_engine.audio.kinds import Kinds

    for kind in Kinds().catalogue():
        assert Kind.from_wire(unpack(pack(kind.to_wire()))) == kind


def test_an_unknown_parameter_lists_those_that_exist():
    assert KIND.parameter("mode", "m1") is MODE
    with pytest.raises(PatchError, match="m1: mixer has no parameter 'gain'; it has: level, count, free") as caught:
        KIND.parameter("gain", "m1")
    assert caught.value.code == "unknown_parameter"
    with pytest.raises(PatchError, match="it has: none"):
        Kind("x", "analyzer", ANY_PORTS, NO_PORTS).parameter("gain", "x1")


@pytest.mark.parametrize(
    ("inputs", "outputs", "what"),
    [(0, 1, "mixer has 1 to 1024 inputs, not 0"), (1, 9, "mixer has 1 to 8 outputs, not 9"), (MAX_CHANNELS + 1, 1, "not 1025")],
)
def test_ports_beyond_the_kinds_are_refused(inputs, outputs, what):
    with pytest.raises(PatchError, match=what) as caught:
        KIND.check_ports(inputs, outputs, "m1")
    assert caught.value.code == "unknown_port"


def test_a_paired_kind_has_as_many_outputs_as_inputs():
    gain = Kind("gain", "effect", ANY_PORTS, ANY_PORTS, paired=True)
    gain.check_ports(3, 3, "g")
    with pytest.raises(PatchError, match="g: gain has as many outputs as inputs, not 2 and 3"):
        gain.check_ports(2, 3, "g")


def test_ports_know_their_counts():
    assert (0 in NO_PORTS, 1 in NO_PORTS, 1 in ONE_PORT, "1" in ONE_PORT, 2 in ONE_PORT) == (True, False, True, False, False)
    assert (str(NO_PORTS), str(ONE_PORT), str(ANY_PORTS)) == ("0", "1", "1 to 1024")


@pytest.mark.parametrize("name", ["a", "gain1", "0.b_-", "x" * 63])
def test_names(name):
    check_name(name, NAME_PATTERN, "node")


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "ä", "x" * 64, "a\n", "\n"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(PatchError, match="is no name; use letters, digits") as caught:
        check_name(name, NAME_PATTERN, "node")
    assert caught.value.code == "bad_name"
