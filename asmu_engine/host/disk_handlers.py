"""Requests on sound files: recordings and players begin in the turn of their transactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from asmu_engine.host.access import check_there
from asmu_engine.host.acquisitions import Acquisitions
from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.handling import Handlers
from asmu_engine.host.job import JobKind
from asmu_engine.host.jobs import Jobs
from asmu_engine.host.lane import Lane
from asmu_engine.host.leases import Leases
from asmu_engine.host.node import Node
from asmu_engine.host.patch import Patch
from asmu_engine.host.recordings import RecordingFolder
from asmu_engine.protocol import messages
from asmu_engine.protocol.errors import AsmuError, DiskError, PatchError

MAX_JOBS: Final = 256
"""Recordings and players at a time: each has a thread, a file and a ring in the disk process, which must do well by all."""

MAX_ASKING: Final = 256
"""Requests for the status of one job that wait for one answer of the disk process."""


class DiskHandlers:
    """Checks node, path and leases, then leaves the rest to the jobs.

    Parameters
    ----------
    acquisitions
        What the disk process is told of recordings into folders.
    recordings
        The folder that clients of other machines reach; empty for none.
    """

    def __init__(
        self, patch: Patch, leases: Leases, lane: Lane, jobs: Jobs, acquisitions: Acquisitions, recordings: str = ""
    ) -> None:
        self._folder = RecordingFolder(recordings)
        self._acquisitions = acquisitions
        self._patch = patch
        self._leases = leases
        self._asking: dict[int, list[Answer]] = {}
        self._lane = lane
        self._jobs = jobs
        self.handlers: Handlers = {
            messages.Record: self._record,
            messages.Acquire: self._acquire,
            messages.Play: self._play,
            messages.Seek: self._seek,
            messages.JobStatus: self._status,
            messages.JobStop: self._stop,
        }

    def _record(self, request: messages.Record, client: Client, answer: Answer) -> None:
        path = self._folder.path(request.path, remote=client.remote)
        command: dict[str, Any] = {
            "path": path,
            "format": request.format,
            "subtype": request.subtype,
            "tags": request.tags,
        }
        if request.at is not None:
            command["start"] = request.at
        self._begin(request, client, answer, kind="record", ring="tap", command=lambda node: command)

    def _acquire(self, request: messages.Acquire, client: Client, answer: Answer) -> None:
        folder = self._folder.path(request.folder, remote=client.remote)
        settings = request.settings
        if settings.second_folder:
            second = self._folder.path(settings.second_folder, remote=client.remote)
            settings = settings.model_copy(update={"second_folder": second})

        def command(node: Node) -> dict[str, Any]:
            return self._acquisitions.command(request, folder, settings, node)

        self._begin(request, client, self._when_kept(answer), kind="acquire", ring="tap", command=command)

    def _play(self, request: messages.Play, client: Client, answer: Answer) -> None:
        path = self._folder.path(request.path, remote=client.remote)
        command = {"path": path, "loop": request.loop, "start": request.start}
        self._begin(request, client, answer, kind="play", ring="feed", command=lambda node: command)

    def _seek(self, request: messages.Seek, client: Client, answer: Answer) -> None:
        self._check_job(request.job, client)
        self._jobs.seek(request.job, request.position, answer)

    def _stop(self, request: messages.JobStop, client: Client, answer: Answer) -> None:
        self._check_job(request.job, client)
        self._jobs.stop(request.job, self._when_kept(answer))

    def _status(self, request: messages.JobStatus, client: Client, answer: Answer) -> None:
        """Asked once for all who want to know meanwhile: those who only look must not keep the disk process from its files."""
        asking = self._asking.get(request.job)
        if asking is not None:
            if len(asking) >= MAX_ASKING:
                raise DiskError(
                    f"the disk process has not said yet how job {request.job} is; wait for that",
                    code="disk_failed",
                    where=str(request.job),
                    retry=True,
                )
            asking.append(answer)
            return

        def told(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            for one in self._asking.pop(request.job, ()):
                one(None if result is None else dict(result), error)

        self._asking[request.job] = [answer]
        try:
            self._jobs.status(request.job, told)
        except AsmuError:
            del self._asking[request.job]
            raise

    def _when_kept(self, answer: Answer) -> Answer:
        """The answer, held until what it says of a recording into a folder would hold for a successor of this engine too."""

        def answered(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is None or result.get("kind") == "acquire":
                self._acquisitions.when_kept(lambda: answer(result, error))
            else:
                answer(result, error)

        return answered

    def _check_job(self, number: int, client: Client) -> None:
        """What is played is as much a part of a leased feed as its values are, and what is recorded of a leased tap as well.

        But whoever records a tap that another has leased since, which only reads it, may end that.
        """
        for job in self._jobs.open():
            if job.job == number and (job.kind == "play" or job.client_id != client.id):
                self._leases.check_node(client, job.node)

    def _begin(
        self,
        request: messages.Record | messages.Acquire | messages.Play,
        client: Client,
        answer: Answer,
        *,
        kind: JobKind,
        ring: Literal["tap", "feed"],
        command: Callable[[Node], dict[str, Any]],
    ) -> None:
        keep = not isinstance(request, messages.Play) and request.keep

        def work() -> None:
            if not keep:
                check_there(client)
            if kind == "play":
                self._leases.check_node(client, request.node)
            if len(self._jobs.open()) >= MAX_JOBS:
                raise DiskError(
                    f"{MAX_JOBS} recordings and players are open, which is the limit; stop one first",
                    code="disk_failed",
                    where=request.node,
                    retry=True,
                )
            node = self._patch.nodes.get(request.node)
            if node is None:
                raise PatchError(f"there is no node {request.node!r} in the patch", code="unknown_node", where=request.node)
            if node.kind.ring != ring:
                raise PatchError(
                    f"{request.node} is a {node.kind.name}; to {kind} takes a {ring}", code="unknown_node", where=request.node
                )
            self._jobs.begin(
                kind,
                answer,
                node=node.name,
                ring=node.ring,
                client=client.label,
                command=command(node),
                client_id=client.id,
                keep=keep,
            )

        self._lane.in_turn(work, answer)
