"""Telling the local network of an engine (zeroconf), where the optional package ``zeroconf`` is installed."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import asmu_engine
from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.keys import fingerprint
from asmu_engine.protocol.runtime import SERVICE_TYPE
from asmu_engine.protocol.version import PROTOCOL_VERSION

if TYPE_CHECKING:
    from asmu_engine.host.remote import RemoteEndpoint

_log = logging.getLogger(__name__)

_END_SECONDS: Final = 5.0


class Announcement:
    """An engine's entry in the local network, from soon after this is made until `close`.

    Parameters
    ----------
    name
        Of the engine.
    requests, events
        Its ``tcp://`` endpoints.
    public_key
        Of the engine's user; its fingerprint is told.
    """

    def __init__(self, name: str, requests: str, events: str, public_key: str) -> None:
        self._name = name
        self._place = urlsplit(requests)
        self._facts = {
            "name": name,
            "protocol": str(PROTOCOL_VERSION),
            "version": asmu_engine.__version__,
            "events": str(urlsplit(events).port),
            "key": fingerprint(public_key),
        }
        self._end = threading.Event()
        # To register takes seconds, of asking whether the name is free, for which the engine does not wait.
        self._thread = threading.Thread(target=self._run, name="announce", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take the entry back; the network is given a moment to hear of it."""
        self._end.set()
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        try:
            self._announce()
        except Exception as error:  # noqa: BLE001 - a network that does not take part is no reason to be without an engine
            _log.warning("the engine could not be announced in the local network: %s", error or type(error).__name__)

    def _announce(self) -> None:
        import zeroconf

        address = ipaddress.ip_address(self._place.hostname or "0.0.0.0")
        everywhere = address.is_unspecified
        addresses = sorted(_own_addresses(zeroconf)) if everywhere else [str(address)]
        version = zeroconf.IPVersion.V6Only if address.version == 6 else zeroconf.IPVersion.V4Only
        interfaces: Any = zeroconf.InterfaceChoice.All if everywhere else addresses
        with contextlib.closing(zeroconf.Zeroconf(interfaces=interfaces, ip_version=version)) as network:
            host = socket.gethostname().split(".")[0]
            info = zeroconf.ServiceInfo(
                SERVICE_TYPE,
                f"{self._name} on {host}.{SERVICE_TYPE}",
                port=self._place.port,
                parsed_addresses=addresses,
                properties=self._facts,
                server=f"{host}.local.",
            )
            network.register_service(info, allow_name_change=True)
            self._end.wait()
            network.unregister_service(info)


def announce(name: str, remote: RemoteEndpoint | None) -> Announcement:
    """Announce an engine; ConfigError when it does not listen, or zeroconf is not installed."""
    if remote is None:
        raise ConfigError(
            "announce: an engine that no other machine reaches has nothing to announce; use it together with listen",
            code="bad_config",
            where="announce",
        )
    if find_spec("zeroconf") is None:
        raise ConfigError(
            "announce takes the package zeroconf: pip install 'asmu-control[discovery]'", code="bad_config", where="announce"
        )
    return Announcement(name, remote.requests_endpoint, remote.events_endpoint, remote.public_key)


def _own_addresses(zeroconf: Any) -> set[str]:
    """Where this machine is reached from the others."""
    return {str(address) for address in zeroconf.get_all_addresses() if not ipaddress.ip_address(address).is_loopback}
