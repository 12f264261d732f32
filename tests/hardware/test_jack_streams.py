"""Streams through real PortAudio on JACK: exact samples, channel mapping, flags, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sound_servers import JACK_PERIOD, Server, played

pytestmark = pytest.mark.hardware

INPUT_OVERFLOW_OUTPUT_UNDERFLOW = 2 | 4


def test_the_devices_are_listed(jack: Server) -> None:
    devices = {info["name"]: info for info in played(jack, "listed")["devices"]}
    loopback = devices["loopback"]
    assert loopback["host_api"].startswith("JACK")
    assert (loopback["max_inputs"], loopback["max_outputs"]) == (64, 64)
    assert loopback["default_samplerate"] == 48000
    assert sum(info["default_input"] for info in devices.values()) == 1


@pytest.mark.parametrize("channels", [2, 16])
def test_full_duplex_is_exact_to_the_bit(jack: Server, channels: int) -> None:
    ports = list(range(1, channels + 1))
    result = played(jack, "loopback", device=jack.device, blocks=60, inputs=ports, outputs=ports)
    assert result["delays"] == {str(port): 2 * JACK_PERIOD for port in ports}
    assert result["reasons"] == ["finished"]
    assert result["sizes"] == [JACK_PERIOD]
    assert sum(result["lost"]) == 0
    assert (result["maximum"], result["name"]) == ([64, 64], "loopback")


def test_channels_are_mapped_for_inputs_and_outputs_each_on_its_own(jack: Server) -> None:
    result = played(jack, "loopback", device=jack.device, blocks=40, inputs=[5, 2, 7], outputs=[2, 5, 9])
    assert result["delays"] == {"5": 2 * JACK_PERIOD, "2": 2 * JACK_PERIOD, "7": None}


def test_a_block_shorter_than_the_servers_period_delays_by_one_period_and_one_block(jack: Server) -> None:
    result = played(jack, "loopback", device=jack.device, blocks=120, inputs=[1], outputs=[1], blocksize=256, lead_in=16)
    assert result["delays"] == {"1": JACK_PERIOD + 256}
    assert result["sizes"] == [256]


def test_a_stream_runs_again_after_it_finished(jack: Server) -> None:
    result = played(jack, "loopback", device=jack.device, blocks=20, inputs=[1], outputs=[1], rounds=3)
    assert result["delays"] == {"1": 2 * JACK_PERIOD}


def test_input_only_and_output_only(jack: Server) -> None:
    heard = played(jack, "loopback", device=jack.device, blocks=10, inputs=[3], outputs=[])
    assert (heard["delays"], heard["reasons"]) == ({"3": None}, ["finished"])
    sounded = played(jack, "loopback", device=jack.device, blocks=10, inputs=[], outputs=[3])
    assert (sounded["delays"], sounded["reasons"]) == ({}, ["finished"])
    assert sounded["input_latency"] == 0.0


def test_a_stalled_callback_is_flagged_once_and_loses_nothing_on_a_synchronous_server(jack: Server) -> None:
    settings: dict[str, Any] = {"device": jack.device, "inputs": [1, 2], "outputs": [1, 2]}
    result = played(jack, "loopback", blocks=150, stall_at=30, stall_s=0.4, **settings)
    assert result["delays"] == {"1": 2 * JACK_PERIOD, "2": 2 * JACK_PERIOD}
    # The server tells of it by another way, which is longer on a busy machine.
    assert INPUT_OVERFLOW_OUTPUT_UNDERFLOW in result["flags"][31:]
    assert sum(result["lost"]) == 0
    assert max(result["late_ns"][31:34]) > 0.3e9
    # The stall is counted where it was; the pace starts anew behind it. Of another one, which is the machine's, flags tell too.
    late = {block: result["late_ns"][block] for block in range(36, 100)}
    assert max((ns for block, ns in late.items() if not any(result["flags"][block:])), default=0) < 0.3e9
    assert np.median(list(late.values())) < 0.1e9


def test_what_is_not_there_is_refused_with_what_is(jack: Server) -> None:
    unknown = played(jack, "refused", device="portaudio:nonesuch")
    assert unknown["code"] == "device_unknown"
    assert "'nonesuch'" in unknown["message"]
    assert "loopback (JACK" in unknown["message"]
    assert played(jack, "refused", device=999)["code"] == "device_unknown"
    several = played(jack, "refused", device="portaudio:a")
    assert several["code"] == "device_unknown"
    assert "several" in several["message"]
    channels = played(jack, "refused", device=jack.device, inputs=[1, 65], outputs=[1])
    assert (channels["code"], channels["where"]) == ("device_channels", "input")
    assert "input channel 65" in channels["message"]
    assert "1 to 64" in channels["message"]
    rate = played(jack, "refused", device=jack.device, inputs=[1], outputs=[1], samplerate=44100)
    assert rate["code"] == "device_samplerate"
    assert "44100 Hz asked" in rate["message"]
    assert "use samplerate 48000" in rate["message"]
    assert played(jack, "refused", device=jack.device, inputs=[], outputs=[])["code"] == "device_channels"


def test_a_pair_of_devices_is_opened_as_one_stream(jack: Server) -> None:
    pair = "portaudio:system|loopback"
    assert played(jack, "loopback", device=pair, blocks=10, inputs=[1], outputs=[2])["maximum"] == [2, 64]


def test_wrong_states_are_refused(jack: Server) -> None:
    codes = played(jack, "states", device=jack.device)["codes"]
    assert codes == ["", "device_state", "", "", "", "no_fault", "device_state", "device_state"]


def test_a_callback_that_raises_ends_the_stream_and_nothing_else(jack: Server) -> None:
    assert played(jack, "raising", device=jack.device)["reasons"] == ["lost: loopback failed: ZeroDivisionError: in the callback"]
