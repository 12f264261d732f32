"""``/metrics`` and ``/healthz`` on a loopback port, for Prometheus and for supervisors; only where it was asked for."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any, Final

from asmu_engine.host.health import health
from asmu_engine.host.loop import Loop
from asmu_engine.protocol.errors import ConfigError

PATIENCE_SECONDS: Final = 2.0
"""A host that does not answer within it is not well."""

_REQUEST_SECONDS: Final = 5.0


class MetricsServer:
    """Answers from threads of its own; what it tells is asked of the loop, so a host that hangs is found out.

    Parameters
    ----------
    address
        ``PORT`` or ``ADDRESS:PORT`` of this machine's loopback; port 0 takes a free one.
    status
        Called in the loop.
    ring_seconds
        Length of every tap's ring, s.

    Raises
    ------
    ConfigError
        ``bad_config``: another address than a loopback's, a port that is taken, or the package prometheus-client is missing.
    """

    def __init__(self, address: str, loop: Loop, status: Callable[[], dict[str, Any]], ring_seconds: float) -> None:
        if find_spec("prometheus_client") is None:
            raise ConfigError(
                "metrics takes the package prometheus-client: pip install 'asmu-control[metrics]'",
                code="bad_config",
                where="metrics",
            )
        self._loop = loop
        self._status = status
        self._ring_seconds = ring_seconds
        host, port = loopback(address)
        handler = type("Handler", (_Handler,), {"server_of": self})
        try:
            self._server = (_Server6 if ":" in host else _Server)((host, port), handler)
        except OSError as error:
            raise ConfigError(
                f"metrics at {address}: {error.strerror or error}; choose another port, or 0 for a free one",
                code="bad_config",
                where="metrics",
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}/metrics"
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more, and give the port back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def ask(self) -> dict[str, Any] | None:
        """The status, from any thread; None where the loop does not give it in time."""
        told: list[dict[str, Any]] = []
        done = threading.Event()

        def look() -> None:
            try:
                told.append(self._status())
            finally:
                done.set()

        self._loop.post(look)
        done.wait(PATIENCE_SECONDS)
        return told[0] if told else None

    def metrics(self) -> tuple[HTTPStatus, str, bytes]:
        """Status, type and body of ``/metrics``."""
        from asmu_engine.host.metrics import CONTENT_TYPE_LATEST, render

        status = self.ask()
        if status is None:
            return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", b"the engine does not answer\n"
        return HTTPStatus.OK, CONTENT_TYPE_LATEST, render(status, self._ring_seconds)

    def health(self) -> tuple[HTTPStatus, str, bytes]:
        """Status, type and body of ``/healthz``."""
        status = self.ask()
        if status is None:
            well, page = False, {"well": False, "reasons": ["the engine does not answer"]}
        else:
            well, page = health(status)
        code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return code, "application/json", json.dumps(page).encode() + b"\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server_of: MetricsServer
    timeout = _REQUEST_SECONDS

    def do_GET(self) -> None:
        """One of the two pages."""
        page = {"/metrics": self.server_of.metrics, "/healthz": self.server_of.health}.get(self.path.partition("?")[0])
        if page is None:
            self.send_error(HTTPStatus.NOT_FOUND, explain="there are /metrics and /healthz")
            return
        code, kind, body = page()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Who looks is not worth a line."""


def loopback(address: str) -> tuple[str, int]:
    """Host and port of ``PORT`` or ``ADDRESS:PORT``; ConfigError where that is no loopback address and port.

    >>> loopback("9464"), loopback("[::1]:0")
    (('127.0.0.1', 9464), ('::1', 0))
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
        number = int(port)
    except ValueError:
        local, number = False, -1
    if not local or not 0 <= number <= 65535:
        raise ConfigError(
            f"metrics at {address!r}: use a port, or a loopback address and a port such as 127.0.0.1:9464; for other machines "
            "put a proxy with a password before it",
            code="bad_config",
            where="metrics",
        )
    return ("127.0.0.1" if host == "localhost" else host), number
