"""The answers to ZeroMQ's questions, and the log of who was kept out."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from asmu_engine.protocol.keys import KeyRing, fingerprint
from asmu_engine.protocol.zap import MAX_ADDRESSES, MAX_LINES, QUIET_SECONDS, Refusals, zap_answer


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keys")


PUBLIC = zmq.curve_keypair()[0].decode()


def question(*credentials: bytes, domain: bytes = b"asmu", mechanism: bytes = b"CURVE") -> list[bytes]:
    return [b"1.0", b"7", domain, b"192.0.2.5", b"identity", mechanism, *credentials]


def raw(public: str) -> bytes:
    return bytes(z85.decode(public))


def test_a_known_key_is_let_in_under_its_public_key(ring: KeyRing) -> None:
    ring.allow("anna", PUBLIC, "observer")
    assert zap_answer(ring, question(raw(PUBLIC))) == ([b"1.0", b"7", b"200", b"", PUBLIC.encode(), b""], "192.0.2.5", "")


def test_a_key_made_meanwhile_is_let_in_at_once(ring: KeyRing) -> None:
    ring.refresh()
    KeyRing(ring.folder).allow("anna", PUBLIC, "observer")
    assert zap_answer(ring, question(raw(PUBLIC)))[0][2] == b"200"


def test_others_are_kept_out_and_named(ring: KeyRing) -> None:
    answer = [b"1.0", b"7", b"400", b"no access", b"", b""]
    why = f"its key {fingerprint(PUBLIC)} is not known here"
    assert zap_answer(ring, question(raw(PUBLIC))) == (answer, "192.0.2.5", why)
    ring.allow("anna", PUBLIC, "admin")
    ring.revoke("anna")
    assert zap_answer(ring, question(raw(PUBLIC))) == (answer, "192.0.2.5", "its key anna was revoked")


@pytest.mark.parametrize(
    "asked",
    [
        question(mechanism=b"NULL"),
        question(b"anna", b"password", mechanism=b"PLAIN"),
        question(),
        question(b"short"),
        question(b"x" * 32, b"more"),
        question(b"x" * 32, domain=b""),
        question(b"x" * 32, domain=b"other"),
    ],
)
def test_what_is_not_one_curve_key_is_kept_out(ring: KeyRing, asked: list[bytes]) -> None:
    answer, address, why = zap_answer(ring, asked)
    assert (answer[2], address, why) == (b"400", "192.0.2.5", "it shows no key")


@pytest.mark.parametrize("asked", [[], [b"1.0"], [b"2.0", *question(b"x" * 32)[1:]], question()[:5]])
def test_a_question_of_another_form_is_an_error(ring: KeyRing, asked: list[bytes]) -> None:
    answer, _, why = zap_answer(ring, asked)
    assert (len(answer), answer[2]) == (6, b"500")
    assert why


# -- the log ----------------------------------------------------------------------------------------------------------


class Log:
    def __init__(self) -> None:
        self.now = 100.0
        self.lines: list[str] = []
        self.refusals = Refusals(self.lines.append, lambda: self.now)


def test_one_who_tries_again_is_said_once_in_a_while() -> None:
    log = Log()
    for _ in range(1000):
        log.refusals.note("192.0.2.5", "it shows no key")
    assert log.lines == ["refused 192.0.2.5: it shows no key"]
    log.refusals.note("192.0.2.5", "its key anna was revoked")
    log.refusals.note("192.0.2.6", "it shows no key")
    assert log.lines[1:] == ["refused 192.0.2.5: its key anna was revoked", "refused 192.0.2.6: it shows no key"]
    log.now += QUIET_SECONDS
    log.refusals.note("192.0.2.5", "it shows no key")
    assert log.lines[3:] == ["refused 192.0.2.5: it shows no key, and 999 times more since it was last said"]


def test_many_addresses_do_not_fill_the_log_nor_the_memory() -> None:
    log = Log()
    for number in range(10 * MAX_ADDRESSES):
        log.refusals.note(f"2001:db8::{number:x}", "it shows no key")
    assert len(log.lines) == MAX_LINES
    assert len(log.refusals._known) == MAX_ADDRESSES
    log.now += QUIET_SECONDS
    log.refusals.note("192.0.2.5", "it shows no key")
    assert log.lines[-1].endswith("refused 192.0.2.5: it shows no key")


def test_a_peer_without_address_is_said_so() -> None:
    log = Log()
    log.refusals.note("", "it shows no key")
    assert log.lines == ["refused a peer of unknown address: it shows no key"]
