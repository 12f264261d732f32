"""Vector and RMS: consecutive, gapless buffers, and the truth about those that are not."""

import threading

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control.analyzer import RMS, Vector
from asmu_engine.protocol.errors import EngineError, PatchError
from asmu_engine.shm.reader import RingReader


def ramp(begin: int, end: int, scale: float = 1e-5) -> np.ndarray:
    return (np.arange(begin, end) * scale).astype(np.float32)


def get(vector, **options):
    return vector.get_buffer(block=False, **options)


@pytest.mark.parametrize("samples", [1, 100, 999, 1000, 1001, 7000])
def test_buffers_follow_each_other_without_a_gap(interface, make_source, samples):
    source = make_source(capacity=20_000)
    vector = Vector(interface, samples)
    source.feed(vector)
    got = []
    for start in range(0, 21_000, 1000):
        source.write(ramp(start, start + 1000))
        while (buffer := get(vector)) is not False:
            assert (buffer.position, buffer.lost, buffer.skipped, buffer.clipped) == (len(got) * samples, 0, 0, 0)
            assert buffer.shape == (samples, 1)
            assert buffer.dtype == np.float32
            got.append(buffer)
    assert len(got) == 21_000 // samples
    assert np.array_equal(np.concatenate(got)[:, 0], ramp(0, len(got) * samples))


def test_a_buffer_longer_than_the_ring(interface, make_source):
    source = make_source(capacity=1000)
    vector = Vector(interface, 5000)
    source.feed(vector)
    for start in range(0, 5000, 100):
        assert get(vector) is False
        source.write(ramp(start, start + 100))
    buffer = get(vector)
    assert np.array_equal(buffer[:, 0], ramp(0, 5000))
    assert buffer.skipped == 0


def test_several_channels_stay_in_their_columns(interface, make_source):
    source = make_source(channels=3)
    vector = Vector(interface, 500)
    source.feed(vector)
    data = np.random.default_rng(1).uniform(-1, 1, (500, 3)).astype(np.float32)
    source.write(data)
    assert np.array_equal(get(vector), data)


def test_lost_frames_are_zeros_and_counted(interface, make_source):
    source = make_source()
    vector = Vector(interface, 1000)
    source.feed(vector)
    source.write(ramp(0, 300))
    source.write(ramp(350, 2350), position=350)
    first, second = get(vector), get(vector)
    assert (first.position, first.lost, second.position, second.lost) == (0, 50, 1000, 0)
    assert not first[300:350].any()
    assert np.array_equal(first[350:, 0], ramp(350, 1000))


def test_what_was_overwritten_is_skipped_and_counted(interface, make_source):
    source = make_source(capacity=4000)
    vector = Vector(interface, 1000)
    source.feed(vector)
    source.write(ramp(0, 1500))
    assert get(vector).position == 0
    source.write(ramp(1500, 9000))
    buffer = get(vector)
    assert buffer.position >= 5000
    assert buffer.position == 1000 + buffer.skipped
    assert np.array_equal(buffer[:, 0], ramp(buffer.position, buffer.position + 1000))
    assert get(vector).skipped == 0


def test_a_half_collected_buffer_that_was_overtaken_counts_as_skipped(interface, make_source):
    source = make_source(capacity=800)
    vector = Vector(interface, 1000)
    source.feed(vector)
    source.write(ramp(0, 500), block=100)
    assert get(vector) is False
    for start in range(500, 4000, 100):
        source.write(ramp(start, start + 100))
    while (buffer := get(vector)) is False:
        source.write(ramp(start + 100, start + 200))
        start += 100
    assert buffer.position == buffer.skipped > 2000
    assert np.array_equal(buffer[:, 0], ramp(buffer.position, buffer.position + 1000))


def test_clipped_samples_are_counted(interface, make_source):
    source = make_source()
    vector = Vector(interface, 10)
    source.feed(vector)
    source.write([0, 1, -1, 0.999, 2, 0, 0, 0, 0, 0] + [0.5] * 10)
    assert get(vector).clipped == 3
    assert get(vector).clipped == 0


def test_the_newest_buffer_for_displays(interface, make_source):
    source = make_source(capacity=8000)
    vector = Vector(interface, 1000)
    source.feed(vector)
    assert get(vector, latest=True) is False
    source.write(ramp(0, 600))
    assert get(vector, latest=True) is False
    source.write(ramp(600, 5300))
    buffer = get(vector, latest=True)
    assert (buffer.position, buffer.skipped) == (4300, 0)
    assert np.array_equal(buffer[:, 0], ramp(4300, 5300))
    assert get(vector, latest=True) is False  # nothing new
    source.write(ramp(5300, 5400))
    assert get(vector, latest=True).position == 4400  # overlaps
    source.write(ramp(5400, 6400))
    assert get(vector).position == 5400  # consecutive again


def test_too_long_for_latest_is_refused(interface, make_source):
    source = make_source(capacity=1000)
    vector = Vector(interface, 900)
    source.feed(vector)
    with pytest.raises(PatchError, match="ring_seconds"):
        get(vector, latest=True)


@pytest.mark.parametrize("latest", [False, True])
def test_waiting_for_a_buffer(interface, make_source, latest):
    source = make_source()
    vector = Vector(interface, 1000)
    source.feed(vector)
    source.write(ramp(0, 900))
    assert vector.get_buffer(timeout=0.01, latest=latest) is False
    writer = threading.Timer(0.05, source.write, [ramp(900, 1000)])
    writer.start()
    buffer = vector.get_buffer(timeout=20, latest=latest)
    writer.join()
    assert np.array_equal(buffer[:, 0], ramp(0, 1000))


def test_the_end_of_the_stream_is_no_time_out(interface, make_source):
    source = make_source()
    vector = Vector(interface, 1000)
    source.feed(vector)
    source.write(ramp(0, 1999))
    source.writer.close(final=True)
    assert vector.get_buffer(timeout=60).position == 0
    assert vector.get_buffer(timeout=60) is False


def test_two_threads_share_the_buffers(interface, make_source):
    source = make_source()
    vector = Vector(interface, 100)
    source.feed(vector)
    positions = []

    def fetch():
        while (buffer := vector.get_buffer(timeout=60)) is not False:
            positions.append(buffer.position)

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for start in range(0, 20_000, 1000):
        source.write(ramp(start, start + 1000))
    source.writer.close(final=True)
    for thread in threads:
        thread.join()
    assert sorted(positions) == list(range(0, 20_000, 100))


def test_rms_of_what_is_known(interface, make_source):
    source = make_source(channels=3)
    rms = RMS(interface, 4800)
    source.feed(rms)
    n = np.arange(9600)
    source.write(np.stack([np.sin(2 * np.pi * 1000 * n / 48000), np.full(9600, -0.25), np.where(n % 2, 0.5, -0.5)], axis=1))
    for position in (0, 4800):
        value = rms.get_rms(block=False)
        assert value.shape == (3,)
        assert value.position == position
        assert np.allclose(value, [np.sqrt(0.5), 0.25, 0.5], rtol=1e-7)
    assert value.clipped == 4800 // 48 * 2
    assert rms.get_rms(block=False) is False
    source.write(np.zeros((100, 3)))
    assert rms.get_rms(block=False, latest=True).position == 4900


def test_nothing_to_analyze_before_the_stream(interface):
    with pytest.raises(EngineError, match="start") as caught:
        Vector(interface, 10).get_buffer()
    assert caught.value.code == "engine_state"


@pytest.mark.parametrize("samples", [0, -1, 1.5, "a", True, None])
def test_samples_is_a_whole_number(interface, samples):
    for kind in (Vector, RMS):
        with pytest.raises(PatchError, match="samples") as caught:
            kind(interface, samples)
        assert caught.value.code == "bad_value"
    assert interface.processors == ()


def test_a_ring_of_another_samplerate_is_refused(interface, make_source):
    source = make_source(samplerate=44100.0)
    with RingReader(source.name) as reader, pytest.raises(PatchError, match="44100 Hz"):
        Vector(interface, 10).read_from(reader)


def test_all_are_analyzers_on_taps(interface):
    assert {p.kind for p in (Vector(interface, 1), RMS(interface, 1), asmu.analyzer.FFT(interface))} == {"tap"}
    assert len(interface.analyzers) == 3


def test_there_is_no_other_analyzer():
    with pytest.raises(AttributeError, match="Tuner"):
        _ = asmu.analyzer.Tuner
    assert set(asmu.analyzer.__all__) <= set(dir(asmu.analyzer))
