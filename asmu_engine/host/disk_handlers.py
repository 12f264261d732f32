"""Requests on sound files: recordings and players begin in the turn of their transactions."""

from __future__ import annotations

from typing import Any, Literal

from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.handling import Handlers
from asmu_engine.host.jobs import Jobs
from asmu_engine.host.lane import Lane
from asmu_engine.host.patch import Patch
from asmu_engine.host.recordings import RecordingFolder
from asmu_engine.protocol import messages
from asmu_engine.protocol.errors import PatchError


class DiskHandlers:
    """Checks node and path, then leaves the rest to the jobs.

    Parameters
    ----------
    recordings
        The folder that clients of other machines reach; empty for none.
    """

    def __init__(self, patch: Patch, lane: Lane, jobs: Jobs, recordings: str = "") -> None:
        self._folder = RecordingFolder(recordings)
        self._patch = patch
        self._lane = lane
        self._jobs = jobs
        self.handlers: Handlers = {
            messages.Record: self._record,
            messages.Play: self._play,
            messages.Seek: lambda request, client, answer: jobs.seek(request.job, request.position, answer),
            messages.JobStatus: lambda request, client, answer: jobs.status(request.job, answer),
            messages.JobStop: lambda request, client, answer: jobs.stop(request.job, answer),
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
        self._begin(request, client, answer, kind="record", ring="tap", command=command)

    def _play(self, request: messages.Play, client: Client, answer: Answer) -> None:
        path = self._folder.path(request.path, remote=client.remote)
        command = {"path": path, "loop": request.loop, "start": request.start}
        self._begin(request, client, answer, kind="play", ring="feed", command=command)

    def _begin(
        self,
        request: messages.Record | messages.Play,
        client: Client,
        answer: Answer,
        *,
        kind: Literal["record", "play"],
        ring: Literal["tap", "feed"],
        command: dict[str, Any],
    ) -> None:
        def work() -> None:
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
                command=command,
                client_id=client.id,
                keep=isinstance(request, messages.Record) and request.keep,
            )

        self._lane.in_turn(work, answer)
