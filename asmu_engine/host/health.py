"""Whether an engine is well, in one word and the reasons why not."""

from __future__ import annotations

from typing import Any


def health(status: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Of what `status` answers: True where nothing needs a person, and the page of ``/healthz``.

    >>> health({"name": "lab", "state": "lost", "reason": "unplugged", "jobs": [], "processes": {"audio": {"pid": 1}}})
    (False, {'engine': 'lab', 'state': 'lost', 'well': False, 'reasons': ['the device is lost: unplugged']})
    """
    reasons = []
    if status["state"] == "lost":
        reasons.append(f"the device is lost: {status['reason']}")
    if status["state"] == "failed":
        reasons.append("the audio process died again and again and is not started any more")
    elif status["processes"]["audio"] is None:
        reasons.append("the audio process is being replaced")
    reasons += [
        f"job {job['job']} to {job['path']} failed: {(job.get('error') or {}).get('message', 'no reason was given')}"
        for job in status["jobs"]
        if job["state"] == "failed" and job["kind"] != "play"
    ]
    return not reasons, {"engine": status["name"], "state": status["state"], "well": not reasons, "reasons": reasons}
