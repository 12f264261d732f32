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


def test_a_block_passes_where_no_edit_concerns_it():
    mailbox = Mailbox()
    assert mailbox.passes(0, 64)
    dated, at_once = PreparedEdit(at=192), PreparedEdit()
    assert mailbox.post(dated) == 192
    assert mailbox.passes(64, 64)
    assert mailbox.passes(128, 64)
    assert not mailbox.passes(192, 64)
    assert take_block(mailbox, 192, 64) == [dated]
    assert mailbox.post(at_once) == 256
    assert not mailbox.passes(256, 64)
    assert take_block(mailbox, 256, 64) == [at_once]
    assert mailbox.passes(320, 64)
    assert mailbox.next_position == 384


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
        if not mailbox.passes(position, 64):
            take_block(mailbox, position, 64)
        position += 64
    thread.join()
    take_block(mailbox, position, 64)
    assert [at for at, _ in promised] == [edit.applied_at for _, edit in promised]


def test_dated_edits_go_by_position_then_number_and_after_those_for_the_next_block():
    mailbox = Mailbox()
    late, second, first = PreparedEdit(at=90, tag=1), PreparedEdit(at=30, tag=3), PreparedEdit(at=30, tag=2)
    for edit in (late, second, first):
        mailbox.arm(edit)
    at_once = PreparedEdit()
    mailbox.post(at_once)
    assert take_block(mailbox, 64, 64) == [at_once, first, second]
    assert [edit.applied_at for edit in (first, second, late)] == [64, 64, None]
    assert mailbox.cut(128) == 90


def test_withdrawn_edits_come_back_in_their_order_and_are_never_taken():
    mailbox = Mailbox()
    edits = [PreparedEdit(at=at, tag=at) for at in (100, 300, 200)]
    for edit in edits:
        mailbox.arm(edit)
    assert take_block(mailbox, 128, 64) == [edits[0]]
    assert mailbox.withdraw() == [edits[2], edits[1]]
    assert take_block(mailbox, 1000, 64) == []
    assert mailbox.withdraw() == []
    assert mailbox.cut(2000) == 2000


def test_each_dated_edit_is_either_taken_or_withdrawn_under_contention():
    mailbox = Mailbox()
    armed: list[PreparedEdit] = []
    back: list[PreparedEdit] = []
    over = threading.Event()

    def control() -> None:
        for number in range(3000):
            edit = PreparedEdit(at=mailbox.next_position + number % 200, tag=number)
            armed.append(edit)
            mailbox.arm(edit)
            if number % 7 == 0:
                given = mailbox.withdraw()
                # From the moment on at which they are given back nothing takes them.
                assert all(one.applied_at is None for one in given)
                back.extend(given)
        over.set()

    thread = threading.Thread(target=control)
    thread.start()
    position = 0
    taken: list[PreparedEdit] = []
    while not over.is_set():
        if position % 128 and mailbox.passes(position, 64):
            position += 64
            continue
        mailbox.begin(position, 64)
        for cut in (0, 20, 40):
            while (edit := mailbox.due(position + cut)) is not None:
                taken.append(edit)
        mailbox.end()
        position += 64
    thread.join()
    taken += take_block(mailbox, position + 1000, 64)
    assert {id(edit) for edit in taken}.isdisjoint({id(edit) for edit in back})
    assert {id(edit) for edit in (*taken, *back)} == {id(edit) for edit in armed}
    assert all(edit.applied_at is not None and edit.applied_at + 64 > edit.at for edit in taken)
