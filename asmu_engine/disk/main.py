"""The disk process: carries out the host's commands until the host ends.

A command is ``{"id": n, "do": …}``; its answer ``{"id": n, "result": {…}}`` or ``{"id": n, "error": {…}}``, which may
come after those to later commands. Each job also tells by itself how it goes, once a second and when it ends:
``{"event": "job", "job": k, "state": "running"|"finished"|"failed", …}`` with the fields of its status, and ``error``
where it failed. An acquisition warns of its disk: ``{"event": "disk_warning", "job": k, "folder", "what", "text"}``.

============ ==================================================================== ====================================
do           fields                                                               answered
============ ==================================================================== ====================================
record       job, ring, path, [format "WAV", subtype, tags, start, overwrite      with its status, at once
             True]
record       job, ring, path, resume True, [start]                                with its status, at once
acquire      job, ring, folder, [settings, source, channels, resume, start,       with its status, at once
             clock, why "new", gap_uncertainty 0]
note         job or None for all, entries for the ledger                          ``{}``, at once
play         job, ring, path, [loop False, start 0]                               with its status, once the ring is primed
seek         job, position                                                        with its status, once primed from there
status       [job]                                                                with one status, or ``{"pid", "jobs": […]}``
attach       job, ring                                                            with its status, once it reads there
stop         job, [until]                                                         with its last status, when the file is whole
quit                                                                              ``{}``, when every file is whole
============ ==================================================================== ====================================

When the pipe from the host ends, or on SIGTERM, the process takes what the rings hold, closes every file, and ends. An
acquisition can be gone on with then; after `quit` it is over.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any, Final

from asmu_engine.disk.fields import identifier, take
from asmu_engine.disk.formats import file_form
from asmu_engine.disk.job import HOST_GONE, TERMINATED, Job
from asmu_engine.disk.outbox import Outbox
from asmu_engine.disk.part import Part
from asmu_engine.disk.player import Player, open_file
from asmu_engine.disk.recorder import Recorder, Start, open_ring
from asmu_engine.protocol.errors import AsmuError, DiskError, ProtocolError
from asmu_engine.protocol.pipe import MessagePipe
from asmu_engine.shm.feed import FeedWriter

_ENDED_KEPT: Final = 256
"""Jobs that are still known after they ended, so that a late status or stop gets its answer."""


class DiskProcess:
    """The jobs, and the commands on them."""

    def __init__(self, pipe: MessagePipe) -> None:
        self._pipe = pipe
        self._outbox = Outbox(pipe)
        self._jobs: dict[int, Job] = {}
        self._lock = threading.Lock()
        self._ending = False
        self._commands = {
            "record": self._record,
            "acquire": self._acquire,
            "note": self._note,
            "play": self._play,
            "seek": self._seek,
            "status": self._status,
            "attach": self._attach,
            "stop": self._stop,
        }

    def run(self) -> None:
        """Take commands until the host quits or is gone; files are whole afterwards, whatever ended it."""
        quit_request: int | None = None
        try:
            while quit_request is None:
                try:
                    message = self._pipe.receive()
                except ProtocolError as error:
                    self._outbox.send({"id": 0, "error": error.to_wire()})
                    continue
                if message is None:
                    break
                if message.get("do") == "quit":
                    quit_request = identifier(message)
                else:
                    self.carry_out(message)
        finally:
            self.finish(HOST_GONE if quit_request is None else "")
            if quit_request is not None:
                self._outbox.send({"id": quit_request, "result": {}})
            if self._outbox.close():  # else its thread is still inside the pipe
                self._pipe.close()

    def carry_out(self, message: dict[str, Any]) -> None:
        """Begin one command; its answer is sent when it is done."""
        request = identifier(message)
        try:
            command = self._commands.get(str(message.get("do")))
            if command is None:
                known = ", ".join([*self._commands, "quit"])
                raise ProtocolError(f"unknown command {message.get('do')!r}; use {known}", code="unknown_request", where="do")
            result = command(request, message)
        except AsmuError as error:
            self._outbox.send({"id": request, "error": error.to_wire()})
        except Exception as error:  # noqa: BLE001 - one command that fails must not end the recordings
            failure = DiskError(f"{type(error).__name__}: {error}", code="disk_failed", where=str(message.get("do")))
            self._outbox.send({"id": request, "error": failure.to_wire()})
        else:
            if result is not None:
                self._outbox.send({"id": request, "result": result})

    def finish(self, interrupted: str = "") -> None:
        """End every job, and wait until its file is whole; may be called from any thread, and twice.

        With a reason why they are `interrupted` another process may go on with acquisitions.
        """
        with self._lock:
            self._ending = True
            jobs = list(self._jobs.values())
        for job in jobs:
            if interrupted:
                job.interrupt(interrupted)
            else:
                job.stop()
        for job in jobs:
            job.join()

    def close(self) -> None:
        """End every job, and send what is still to be said: for a process of which this is not all."""
        self.finish()
        self._outbox.close()

    # -- commands: each returns its answer, or None where a job will give it ------------------------------------------

    def _record(self, request: int, message: dict[str, Any]) -> dict[str, Any]:
        number = self._new_number(message)
        ring = take(message, "ring", str)
        path = Path(take(message, "path", str))
        if not path.is_absolute():
            raise DiskError(f"the path {path} is relative; name it from the root", code="file_unwritable", where=str(path))
        start = None if message.get("start") is None else int(take(message, "start", int))
        if take(message, "resume", bool, False):
            part = Part.resume(path)
            first = start if part.position is None else part.position
            begin: Start = "oldest" if first is None else first
            try:
                reader = open_ring(ring, begin, part.form.channels, part.form.samplerate)
            except AsmuError:
                part.abandon()
                raise
        else:
            reader = open_ring(ring, "oldest" if start is None else start, held=True)
            try:
                form = file_form(
                    take(message, "format", str, "WAV"),
                    take(message, "subtype", str, ""),
                    reader.samplerate,
                    reader.channels,
                    take(message, "tags", dict, {}),
                )
                part = Part.create(path, form, overwrite=take(message, "overwrite", bool, True))
            except AsmuError:
                reader.close()
                raise
        job = Recorder(number, self._outbox.send, reader, part, start)
        result = job.status()
        self._start(job)
        return result

    def _acquire(self, request: int, message: dict[str, Any]) -> dict[str, Any]:
        from asmu_engine.disk.acquisition.begin import begin_acquisition  # only where one is wanted: it loads pydantic

        job = begin_acquisition(self._new_number(message), self._outbox.send, message)
        result = job.status()
        self._start(job)
        return result

    def _note(self, request: int, message: dict[str, Any]) -> dict[str, Any]:
        from asmu_engine.disk.acquisition.begin import note_entries

        note_entries(list(self._jobs.values()) if message.get("job") is None else [self._job(message)], message)
        return {}

    def _play(self, request: int, message: dict[str, Any]) -> None:
        number = self._new_number(message)
        path = take(message, "path", str)
        loop = take(message, "loop", bool, False)
        start = take(message, "start", int, 0)
        ring = take(message, "ring", str)
        for other in self._jobs.values():
            if isinstance(other, Player) and other.ring == ring and other.state == "running":
                raise DiskError(
                    f"player {other.number} is playing into this feed; stop it first",
                    code="feed_in_use",
                    where=f"job {other.number}",
                )
        feed = FeedWriter(ring)
        try:
            file = open_file(path, start, loop, feed.channels, feed.samplerate)
        except AsmuError:
            feed.close()
            raise
        self._start(Player(number, self._outbox.send, feed, file, loop=loop, request=request))

    def _seek(self, request: int, message: dict[str, Any]) -> None:
        job = self._job(message)
        if not isinstance(job, Player):
            raise DiskError(f"job {job.number} is not a player", code="disk_job_unknown", where=f"job {job.number}")
        job.seek(take(message, "position", int), request)

    def _status(self, request: int, message: dict[str, Any]) -> dict[str, Any]:
        if "job" in message:
            return self._job(message).status()
        jobs = [{**job.status(), "gaps": []} for job in self._jobs.values()]
        return {"pid": os.getpid(), "jobs": jobs}

    def _attach(self, request: int, message: dict[str, Any]) -> None:
        job = self._job(message)
        if not isinstance(job, Recorder):
            raise DiskError(f"job {job.number} is not a recording", code="disk_job_unknown", where=f"job {job.number}")
        job.attach(take(message, "ring", str), request)

    def _stop(self, request: int, message: dict[str, Any]) -> None:
        job = self._job(message)
        job.stop(request, None if message.get("until") is None else take(message, "until", int))

    # -- jobs ----------------------------------------------------------------------------------------------------

    def _start(self, job: Job) -> None:
        with self._lock:
            ended = [number for number, other in self._jobs.items() if other.state != "running"]
            for number in ended[: max(0, len(ended) - _ENDED_KEPT)]:
                del self._jobs[number]
            self._jobs[job.number] = job
            job.start()
            if self._ending:
                job.stop()

    def _new_number(self, message: dict[str, Any]) -> int:
        number: int = take(message, "job", int)
        if number in self._jobs:
            raise ProtocolError(f"there is a job {number} already", code="bad_message", where="job")
        return number

    def _job(self, message: dict[str, Any]) -> Job:
        number = take(message, "job", int)
        job = self._jobs.get(number)
        if job is None:
            raise DiskError(f"there is no recording or player {number}", code="disk_job_unknown", where=f"job {number}")
        return job


def main() -> None:
    """Run on stdin and stdout; SIGTERM is blocked in every thread (see ``__main__``)."""
    # Ctrl-C goes to every process of a terminal; when to end is the host's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = DiskProcess(MessagePipe.of_this_process())
    if hasattr(signal, "sigwait"):
        threading.Thread(target=_end_on_sigterm, args=(process,), name="sigterm", daemon=True).start()
    process.run()


def _end_on_sigterm(process: DiskProcess) -> None:
    """End as if the host were gone.

    A thread that waits for the signal rather than a handler: a handler that is due just before the main thread
    begins to read from the host would run only after the next message.
    """
    signal.sigwait({signal.SIGTERM})
    process.finish(TERMINATED)
    # The main thread is inside a read that nothing can end; all that matters has been closed.
    os._exit(0)
