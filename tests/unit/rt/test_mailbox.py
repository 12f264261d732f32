"""Edits on their way in and back."""

import threading

from asmu_engine.rt.mailbox import Mailbox, PreparedEdit


def take_block(mailbox: Mailbox, position: int, frames: int) -> list[PreparedEdit]:
    mailbox.begin(position, frames)
    taken = []
    while (edit := mailbox.due(position)) is not None:
        taken.append(edit)
    mailbox.end()
    return taken


def test_an_edit_holds_from_the_next_block_and_comes_back():
    mailbox = Mailbox()
    take_block(mailbox, 0, 256)
    edit = PreparedEdit()
    assert mailbox.post(edit) == 256
    assert take_block(mailbox, 256, 256) == [edit]
    assert edit.applied_at == 256
    assert mailbox.collect() == [edit]
    assert mailbox.collect() == []


def test_edits_keep_their_order():
    mailbox = Mailbox()
    edits = [PreparedEdit() for _ in range(5)]
    for edit in edits:
        mailbox.post(edit)
    assert take_block(mailbox, 0, 64) == edits


def test_a_dated_edit_waits_and_cuts_its_block():
    mailbox = Mailbox()
    edit = PreparedEdit(at=100)
    assert mailbox.post(edit) == 100
    mailbox.begin(0, 256)
    assert mailbox.due(0) is None
    assert mailbox.cut(256) == 100
    assert mailbox.due(100) is edit
    assert mailbox.cut(256) == 256
    mailbox.end()


def test_the_promised_position_is_the_one_of_effect_under_contention():
    mailbox = Mailbox()
    promised: list[tuple[int, PreparedEdit]] = []
    over = threading.Event()

    def control() -> None:
        for _ in range(2000):
            edit = PreparedEdit()
            promised.append((mailbox.post(edit), edit))
        over.set()

    thread = threading.Thread(target=control)
    thread.start()
    position = 0
    while not over.is_set():
        take_block(mailbox, position, 64)
        position += 64
    thread.join()
    take_block(mailbox, position, 64)
    assert [at for at, _ in promised] == [edit.applied_at for _, edit in promised]
