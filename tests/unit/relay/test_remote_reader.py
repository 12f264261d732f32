"""Reading a relayed tap: the samples, their positions, and the account of what is missing, for whatever comes and does not."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relay_parts import KEY, Refused, Script, ramp

from asmu_control.relay import cursor
from asmu_control.remotetap import RemoteReader
from asmu_engine.protocol.errors import RingError


def connect(start="newest") -> RemoteReader:
    return RemoteReader("tcp://far:1", KEY, "tap1", start)


def told(block) -> tuple[int, int, int, int]:
    return block.position, len(block), block.lost, block.skipped


# -- nothing is missing -----------------------------------------------------------------------------------------


def test_frames_come_as_they_were_sent_cut_anew(script: Script) -> None:
    with connect() as reader:
        assert (reader.channels, reader.samplerate, reader.capacity, reader.position) == (2, 48000.0, 4096, 1000)
        for frames in (64, 64, 1, 500, 3):
            script.send(frames)
        blocks = []
        while (block := reader.read(100)) is not None:
            np.testing.assert_array_equal(block.data, ramp(block.position, 100))
            blocks.append(told(block))
        assert blocks == [(1000 + 100 * n, 100, 0, 0) for n in range(6)]
        assert (reader.position, reader.fill, reader.writer_position) == (1600, 32, 1632)
        chunk = reader.read_chunk(1000)
        assert told(chunk) == (1600, 32, 0, 0)
        np.testing.assert_array_equal(chunk.data, ramp(1600, 32))
        assert reader.read_chunk(1000) is None
        assert (reader.total_lost, reader.total_skipped, reader.closed) == (0, 0, False)
    assert script.closed


def test_a_read_takes_no_more_messages_than_it_needs(script: Script) -> None:
    with connect() as reader:
        for _ in range(5):
            script.send(100)
        assert told(reader.read(150)) == (1000, 150, 0, 0)
        assert len(script.sent) == 3


def test_a_view_is_read_only_and_tells_when_it_was_overwritten(script: Script) -> None:
    script.capacity = 100
    with connect() as reader:
        script.send(40)
        block = reader.read(40)
        assert not block.data.flags.writeable
        assert block.intact()
        script.send(60)
        assert reader.read(60).data.base is None or reader.fill == 0
        assert block.intact()
        script.send(1)
        assert reader.fill == 1
        assert not block.intact()
        copy = reader.read(1, copy=True)
        assert copy.data.flags.writeable
        assert copy.intact()


def test_a_block_over_the_edge_of_what_is_kept_is_put_together(script: Script) -> None:
    script.capacity = 128
    script.position = 1000  # 104 after the edge
    with connect() as reader:
        for _ in range(10):
            script.send(50)
            np.testing.assert_array_equal(reader.read(50).data, ramp(reader.position - 50, 50))


def test_times_come_with_the_frames(script: Script) -> None:
    with connect() as reader:
        assert reader.stamp is None
        script.send(48)
        script.send(48)
        reader.read(48)
        block = reader.read(48)
        assert reader.stamp == (1048, 10**9, 2 * 10**9)
        assert (block.monotonic_ns, block.utc_ns) == (10**9, 2 * 10**9)


# -- what the device lost ---------------------------------------------------------------------------------------


def test_lost_frames_are_zeros_counted_in_the_block_that_they_are_in(script: Script) -> None:
    with connect() as reader:
        script.send(10)
        script.send(10, lost=25)
        assert reader.gaps() == [(1010, 25, 7, 0)]
        blocks = [reader.read(15) for _ in range(3)]
        assert [told(block) for block in blocks] == [(1000, 15, 5, 0), (1015, 15, 15, 0), (1030, 15, 5, 0)]
        expected = ramp(1000, 45)
        expected[10:35] = 0
        np.testing.assert_array_equal(np.concatenate([block.data for block in blocks]), expected)
        assert (reader.total_lost, reader.total_skipped) == (25, 0)


def test_a_chunk_is_cut_at_a_gap_and_tells_of_it_before(script: Script) -> None:
    with connect() as reader:
        script.send(10)
        script.send(10, lost=25)
        assert [told(reader.read_chunk(100)) for _ in range(2)] == [(1000, 10, 0, 0), (1035, 10, 25, 0)]


def test_several_gaps_keep_their_causes(script: Script) -> None:
    with connect() as reader:
        script.send(10)
        script.send(10, lost=30, gaps=[[1010, 10, 1], [1025, 5, 2]], unsure=[3, 4])
        assert reader.gaps() == [(1010, 10, 1, 3), (1020, 5, 0, 0), (1025, 5, 2, 4), (1030, 10, 0, 0)]
        blocks = [reader.read(size) for size in (10, 13, 5, 22)]
        assert [(block.lost, block.cause, block.uncertainty) for block in blocks] == [
            (0, 0, 0),
            (13, 0, 0),
            (5, 2, 4),
            (12, 0, 0),
        ]


def test_a_chunk_says_why_and_how_surely_frames_before_it_were_lost(script: Script) -> None:
    with connect() as reader:
        script.send(10)
        script.send(10, lost=25, unsure=[6])
        chunks = [reader.read_chunk(100) for _ in range(2)]
        assert [(chunk.lost, chunk.cause, chunk.uncertainty) for chunk in chunks] == [(0, 0, 0), (25, 7, 6)]


# -- what did not come ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_relay", [False, True])
def test_blocks_that_did_not_come_are_skipped_a_whole_number_at_a_time(script: Script, by_relay: bool) -> None:
    with connect() as reader:
        script.send(100)
        if by_relay:
            script.send(100, skipped=130)
        else:
            script.drop(130)
            script.send(100)
        assert told(reader.read(40)) == (1000, 40, 0, 0)
        assert told(reader.read(40)) == (1040, 40, 0, 0)
        # The third would lie over the edge of the hole [1100, 1230); the next whole one begins at 1240.
        block = reader.read(40)
        assert told(block) == (1240, 40, 0, 160)
        np.testing.assert_array_equal(block.data, ramp(1240, 40))
        assert told(reader.read(40)) == (1280, 40, 0, 0)
        assert reader.total_skipped == 160


def test_chunks_skip_exactly_what_did_not_come(script: Script) -> None:
    with connect() as reader:
        script.send(100)
        script.drop(130)
        script.send(100)
        assert [told(reader.read_chunk(500)) for _ in range(2)] == [(1000, 100, 0, 0), (1230, 100, 0, 130)]


def test_lost_before_and_behind_what_did_not_come(script: Script) -> None:
    with connect() as reader:
        script.send(100)
        script.drop(20, lost=5)
        script.send(50, lost=10)
        # Whether frames that did not come were lost nobody knows: they count as skipped. Those right before a message do not.
        assert [told(reader.read_chunk(500)) for _ in range(2)] == [(1000, 100, 0, 0), (1135, 50, 10, 25)]
        assert reader.gaps() == [(1125, 10, 7, 0)]


def test_a_reader_that_is_too_slow_itself_is_told_so(script: Script) -> None:
    script.capacity = 200
    with connect() as reader:
        for _ in range(10):
            script.send(100)
        assert reader.fill == 1000  # takes all that came
        assert told(reader.read(50)) == (1800, 50, 0, 800)


def test_a_message_longer_than_what_is_kept(script: Script) -> None:
    script.capacity = 64
    with connect() as reader:
        script.send(100)
        block = reader.read_chunk(100)
        assert told(block) == (1036, 64, 0, 36)
        np.testing.assert_array_equal(block.data, ramp(1036, 64))


def test_messages_that_are_known_already_are_passed_over(script: Script) -> None:
    with connect() as reader:
        script.send(100)
        script.position -= 30  # another relay, which begins a little earlier
        script.run = "other"
        script.send(50)
        assert told(reader.read(120)) == (1000, 120, 0, 0)
        script.position = 1000
        script.send(20)
        assert reader.read(1) is None


def test_a_relay_that_was_replaced_leaves_a_hole_of_known_size(script: Script) -> None:
    script.capacity = 48000
    with connect() as reader:
        script.send(100)
        script.position += 4800
        script.run, script.sequence, script.first = "other", 0, None
        script.sign()
        script.send(100)
        assert [told(reader.read_chunk(500)) for _ in range(2)] == [(1000, 100, 0, 0), (5900, 100, 0, 4800)]


# -- the beginning ----------------------------------------------------------------------------------------------


def test_an_empty_tap_begins_with_its_first_frame(script: Script) -> None:
    script.empty = True
    with connect() as reader:
        assert (reader.position, reader.fill, reader.read(10), reader.read_chunk(10)) == (0, 0, None, None)
        script.position = 7777
        script.send(20)
        assert reader.fill == 20
        assert told(reader.read(10)) == (7777, 10, 0, 0)


def test_an_empty_tap_whose_first_frames_did_not_come_says_so(script: Script) -> None:
    script.empty = True
    with connect() as reader:
        script.position = 7000
        script.drop(30)
        script.send(20)
        assert told(reader.read_chunk(50)) == (7030, 20, 0, 30)


def test_the_first_message_that_is_heard_of_may_have_frames(script: Script) -> None:
    script.send(10, lost=5)
    with connect() as reader:
        assert reader.gaps() == []
        assert told(reader.read(10)) == (1005, 10, 0, 0)


def test_a_start_in_the_past_counts_what_is_gone(script: Script) -> None:
    with connect(900) as reader:
        script.send(50)
        assert told(reader.read_chunk(50)) == (1000, 50, 0, 100)


def test_a_start_in_the_future_waits_for_it(script: Script) -> None:
    with connect(1030) as reader:
        script.send(40)
        assert (reader.fill, reader.read(20)) == (10, None)
        script.send(40)
        assert told(reader.read(20)) == (1030, 20, 0, 0)


def test_seek_goes_anywhere_in_what_is_kept(script: Script) -> None:
    script.capacity = 100
    with connect() as reader:
        for _ in range(3):
            script.send(50)
        for start, expected in (("newest", 1150), ("oldest", 1050), ("first", 1000), (1060, 1060)):
            reader.seek(start)
            assert reader.position == expected
        assert told(reader.read(20)) == (1060, 20, 0, 0)
        reader.seek("first")
        assert told(reader.read_chunk(500)) == (1050, 100, 0, 50)
        with pytest.raises(RingError, match="newest, oldest, first") as caught:
            reader.seek("middle")
        assert caught.value.code == "ring_position"


# -- the end ----------------------------------------------------------------------------------------------------


def test_blocks_end_with_the_tap_and_the_last_is_shorter(script: Script) -> None:
    with connect() as reader:
        script.send(250)
        script.sign(closed=True)
        assert [told(block) for block in reader.blocks(100, timeout=1)] == [
            (1000, 100, 0, 0),
            (1100, 100, 0, 0),
            (1200, 50, 0, 0),
        ]
        assert reader.closed
        assert reader.wait(1, 1) is False
        assert script.sent == type(script.sent)()


def test_what_did_not_come_before_the_end_is_in_the_total(script: Script) -> None:
    with connect() as reader:
        script.send(100)
        script.drop(60)
        script.sign(closed=True)
        assert [told(block) for block in reader.blocks(100, timeout=1)] == [(1000, 100, 0, 0)]
        assert reader.total_skipped == 60


@pytest.mark.parametrize("change", [{"stream": "other"}, {"channels": 3}, {"error": {"code": "ring_unknown"}}])
def test_another_ring_of_that_name_is_another_readers(script: Script, change: dict) -> None:
    with connect() as reader:
        script.send(100)
        script.sign(**change)
        script.send(100)
        assert [told(block) for block in reader.blocks(100, timeout=1)] == [(1000, 100, 0, 0)]
        assert reader.closed


def test_silence_of_10_s_is_the_end(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect() as reader:
        now = cursor.time.monotonic()
        monkeypatch.setattr("asmu_control.relay.cursor.SILENT_SECONDS", 1e-9)
        assert cursor.time.monotonic() > now
        assert reader.closed
        script.send(100)
        monkeypatch.undo()
        assert told(reader.read(50)) == (1000, 50, 0, 0)
        assert not reader.closed


def test_a_block_that_does_not_come_in_time_can_be_waited_for_again(script: Script) -> None:
    with connect() as reader:
        blocks = reader.blocks(50, timeout=0.01)
        with pytest.raises(RingError, match=r"no block of 50 frames within 0\.01 s") as caught:
            next(blocks)
        assert (caught.value.code, caught.value.retry) == ("ring_timeout", True)
        script.send(50)
        assert reader.wait(50, 0)
        assert told(next(reader.blocks(50, timeout=0.01))) == (1000, 50, 0, 0)


# -- the rest of what a local reader can ------------------------------------------------------------------------


def test_sizes_that_cannot_be(script: Script) -> None:
    with connect() as reader:
        for call in (reader.read, reader.read_chunk):
            with pytest.raises(RingError, match="were asked for") as caught:
                call(0)
            assert caught.value.code == "ring_shape"
        with pytest.raises(RingError, match="holds 4096 frames; 4097"):
            reader.read(4097)


def test_a_closed_reader_says_so(script: Script) -> None:
    reader = connect()
    reader.close()
    reader.close()
    with pytest.raises(RingError, match="has been closed") as caught:
        reader.read(10)
    assert caught.value.code == "ring_closed"


def test_a_reader_that_is_forgotten_lets_go(script: Script) -> None:
    connect()
    assert script.closed


def test_nobody_waits_for_a_reader_elsewhere(script: Script) -> None:
    with connect() as reader:
        reader.release()
        with pytest.raises(RingError, match="leave paced=True out") as caught:
            reader.register_paced()
        assert caught.value.code == "ring_access"


def test_a_handle_instead_of_a_pickle(script: Script) -> None:
    with connect() as reader:
        script.send(10)
        reader.read(10)
        assert reader.handle == "tcp://far:1/tap1@1010"
        assert "tcp://far:1/tap1" in repr(reader)
        with pytest.raises(TypeError, match="handle"):
            pickle.dumps(reader)


def test_a_tap_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Refused()
    monkeypatch.setattr("asmu_control.relay.cursor.Subscriber", refused.subscriber)
    with pytest.raises(RingError, match="has no tap 'tap1'"):
        connect()
    assert refused.closed


@pytest.mark.parametrize("shape", [{"channels": 0}, {"capacity": 0}, {"samplerate": 0.0}])
def test_a_relay_that_tells_no_shape(script: Script, shape: dict) -> None:
    script.sign(**shape)
    with pytest.raises(RingError) as caught:
        connect()
    assert caught.value.code == "ring_shape"
    assert script.closed


def test_a_tap_for_which_there_is_no_memory(script: Script) -> None:
    script.capacity = 2**50
    with pytest.raises(RingError, match="cannot get") as caught:
        connect()
    assert caught.value.code == "ring_space"


# -- any history at all -----------------------------------------------------------------------------------------

STEPS = st.tuples(st.sampled_from(["send", "drop", "read"]), st.integers(1, 60), st.integers(0, 20), st.integers(0, 20))


@settings(deadline=None, max_examples=300)
@given(steps=st.lists(STEPS, max_size=40), size=st.integers(1, 50), chunks=st.booleans(), capacity=st.integers(60, 300))
def test_blocks_lost_and_skipped_reconcile_with_the_frame_axis(steps, size: int, chunks: bool, capacity: int) -> None:
    script = Script()
    script.capacity = capacity
    delivered: dict[int, None] = {}
    lost: set[int] = set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asmu_control.relay.cursor.Subscriber", script.subscriber)
        with connect() as reader:
            position = 1000

            def read() -> None:
                nonlocal position
                while (block := reader.read_chunk(size) if chunks else reader.read(size, copy=True)) is not None:
                    before = block.lost if chunks else 0
                    assert block.position == position + block.skipped + before
                    expected = ramp(block.position, len(block))
                    if chunks:
                        assert lost.issuperset(range(block.position - before, block.position))
                    else:
                        missing = [n for n in range(len(block)) if block.position + n in lost]
                        expected[missing] = 0
                        assert block.lost == len(missing)
                        assert block.skipped % size == 0
                    np.testing.assert_array_equal(block.data, expected)
                    assert all(n in delivered or n in lost for n in range(block.position, block.position + len(block)))
                    position = block.position + len(block)

            for what, frames, lose, skip in steps:
                if what == "read":
                    read()
                    continue
                header, data = script.message(frames, lost=lose, skipped=skip)
                if what == "send":
                    script.sent.append((header, data))
                    delivered.update(dict.fromkeys(range(header.position, header.position + frames)))
                    lost.update(range(header.position - lose, header.position))
            read()
            assert reader.total_skipped + reader.total_lost + len(delivered) >= reader.position - 1000
