"""An audio process without audio: it speaks the pipe's protocol, counts blocks by itself, and fails where it is told to.

``FAKE_AUDIO`` holds JSON: ``"configure"`` is ``"error"``, ``"die"`` or ``"hang"``; ``"start"`` is ``"error"``, ``"hang"``
or ``"end"`` (the stream is over before the answer); ``"restart"`` likewise, for a start that resets nothing, or ``"stale"``:
another process must look for the device; ``"known"``: its device says by what it is found again; ``"crash"`` names a node whose
core makes the process abort in the sixth block; ``"log"`` is a file that gets each command as a line of JSON; ``"gate"`` is
one that a process waits for before it is configured. A node called ``fails`` is refused, one called ``crashes`` ends the
process, one called ``hangs`` is never answered.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, Kind, Parameter
from asmu_engine.protocol.errors import DeviceError, PatchError, PluginError
from asmu_engine.protocol.pipe import MessagePipe
from asmu_engine.shm.status import StatusPage, core_mark

KINDS = (
    Kind(
        "gain", "effect", ANY_PORTS, ANY_PORTS, (Parameter("gain", default=1.0, per_channel=True),), calls=("reset",), paired=True
    ),
    Kind("delay", "effect", ANY_PORTS, ANY_PORTS, (Parameter("frames", type="int", default=0),), paired=True, breaks_cycle=True),
    Kind("tap", "analyzer", ANY_PORTS, NO_PORTS, ring="tap"),
)
PLAN = json.loads(os.environ.get("FAKE_AUDIO", "{}"))


class FakeAudio:
    def __init__(self) -> None:
        self.pipe = MessagePipe.of_this_process()
        self.page: StatusPage | None = None
        self.blocksize = 0
        self.running = threading.Event()
        self.crashing = False
        threading.Thread(target=self.count, daemon=True).start()

    def count(self) -> None:
        word = StatusPage.word
        while self.running.wait():
            words, now = self.page.words, time.monotonic_ns()
            self.page.stamp(words[word("frame_position")], now, time.time_ns(), 0.0)
            words[word("blocks")] += 1
            words[word("frame_position")] += self.blocksize
            words[word("last_block_ns")] = now
            if self.crashing and words[word("blocks")] % 6 == 0:
                self.page.mark_core(core_mark(PLAN["crash"]))
                os.abort()
            time.sleep(0.005)

    def serve(self) -> None:
        while (message := self.pipe.receive()) is not None:
            if "log" in PLAN:
                with Path(PLAN["log"]).open("a") as log:
                    log.write(json.dumps(message, default=repr) + "\n")
            try:
                result = getattr(self, message["do"])(message)
            except (PatchError, DeviceError, PluginError) as error:
                self.pipe.send({"id": message["id"], "error": error.to_wire()})
            else:
                self.pipe.send({"id": message["id"], "result": result})
                if message["do"] == "quit":
                    return

    def configure(self, message: dict) -> dict:
        while "gate" in PLAN and not Path(PLAN["gate"]).exists():
            time.sleep(0.002)
        self.fail(PLAN.get("configure"), PluginError("no such plugin", code="plugin_unreadable", where="mine.py"))
        self.page = StatusPage.attach(message["engine"])
        self.blocksize = message["config"]["blocksize"]
        self.page.words[StatusPage.word("frame_position")] = message["position"]
        return {"pid": os.getpid(), "catalogue": [kind.to_wire() for kind in KINDS], "realtime": {"audio_thread": "normal"}}

    def edit(self, message: dict) -> dict:
        for edit in message["edits"]:
            if edit.get("node") == PLAN.get("crash") and edit["op"] == "add":
                self.crashing = not edit.get("left_out")
            how = {"fails": "error", "crashes": "die", "hangs": "hang"}.get(edit.get("node", ""))
            self.fail(how, PatchError("fails: cannot be prepared", code="core_failed", where="fails"))
        return {"at": self.page.counter("frame_position")}

    def arm(self, message: dict) -> dict:
        """Nothing is ever taken; a node called ``fails`` is refused as an edit of it is."""
        if not self.running.is_set():
            return {"armed": 0, "running": False}
        for number, one in enumerate(message["armed"]):
            try:
                self.edit(one)
            except PatchError as error:
                return {"armed": number, "error": error.to_wire()}
        return {"armed": len(message["armed"])}

    def withdraw(self, message: dict) -> dict:
        return {}

    def start(self, message: dict) -> dict:
        if not message["reset"] and PLAN.get("restart"):
            stale = DeviceError("another process must look for it", code="device_lost", where="x")
            self.fail("error" if PLAN["restart"] == "stale" else None, stale)
            self.fail(PLAN["restart"], DeviceError("no such device", code="device_unknown", where="x"))
        self.fail(PLAN.get("start"), DeviceError("no such device", code="device_unknown", where="x"))
        word = StatusPage.word("frame_position")
        begin = self.page.words[word] = max(self.page.words[word], message["position"])
        self.running.set()
        if PLAN.get("start") == "end":
            self.pipe.send({"event": "ended", "reason": "finished"})
        inputs, outputs = message["inputs"] or [1, 2], message["outputs"] or [1, 2]
        device = {"name": "fake", "kind": PLAN.get("kind", "virtual"), "inputs": inputs, "outputs": outputs, "paced": True}
        return {
            "device": device,
            "samplerate": 48000,
            "blocksize": self.blocksize,
            "position": begin,
            **({"known": {"input": None, "output": {"name": "fake"}}} if "known" in PLAN else {}),
        }

    def stop(self, message: dict) -> dict:
        self.running.clear()
        return {}

    def reset(self, message: dict) -> dict:
        return {"at": self.page.counter("frame_position")}

    def step(self, message: dict) -> dict:
        time.sleep(message["blocks"] * 0.1)
        return {"blocks": message["blocks"]}

    def profile(self, message: dict) -> dict:
        return {"nodes": {}}

    def fault(self, message: dict) -> dict:
        """Faults are messages of its own here."""
        events = {
            "gone": {"event": "ended", "reason": "lost: unplugged"},
            "back": {"event": "ended", "reason": "finished"},
            "input_overflow": {"event": "xrun", "flags": ["input_overflow"], "lost": 3, "position": 5, "block": 1},
            "output_overflow": {"event": "core_failed", "node": "n", "error": "bang", "position": 7},
            "input_underflow": {"event": "realtime", "realtime": {"audio_thread": "SCHED_FIFO 70"}},
        }
        if message["fault"] == "stall":
            self.running.clear()
        elif message["fault"] == "lose":
            os.write(1, b"noise that a library prints\n")
        else:
            if message["fault"] in ("gone", "back"):
                self.running.clear()
            self.pipe.send(events[message["fault"]])
        return {}

    def quit(self, message: dict) -> dict:
        return {}

    @staticmethod
    def fail(how: str | None, error: Exception) -> None:
        if how == "die":
            os._exit(7)
        if how == "hang":
            time.sleep(1000)
        if how == "error":
            raise error


if __name__ == "__main__":
    FakeAudio().serve()
    sys.exit(0)
