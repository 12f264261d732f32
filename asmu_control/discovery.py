"""Engines in the local network that announce themselves (zeroconf); takes the package ``zeroconf``, an optional extra."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from dataclasses import dataclass
from typing import Any

from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.runtime import SERVICE_TYPE


@dataclass(frozen=True)
class NetworkEngine:
    """An engine that some machine announces; nothing of it is certain before its key has been seen.

    Attributes
    ----------
    name
        Of the engine.
    url
        ``tcp://ADDRESS:PORT``, for `asmu_control.connect`.
    events_port
        TCP port of its events.
    host
        Name of its machine.
    version
        Of the library.
    fingerprint
        Of its public key; ``asmu keys list`` shows it on that machine.
    """

    name: str
    url: str
    events_port: int
    host: str
    version: str
    fingerprint: str


def browse(seconds: float = 2.0, interfaces: list[str] | None = None) -> list[NetworkEngine]:
    """The engines that answer within `seconds`, by name.

    Parameters
    ----------
    seconds
        How long to listen for answers.
    interfaces
        Addresses of this machine to ask through; all by default.

    Raises
    ------
    ConfigError
        zeroconf is not installed.
    EngineError
        The network cannot be asked.
    """
    try:
        import zeroconf
    except ImportError:
        raise ConfigError(
            "the local network is asked with the package zeroconf: pip install 'asmu-control[discovery]'",
            code="bad_config",
            where="network",
        ) from None
    found: dict[str, NetworkEngine] = {}
    names: set[str] = set()

    def note(zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        names.add(name)

    with contextlib.closing(zeroconf.Zeroconf(interfaces=interfaces or zeroconf.InterfaceChoice.All)) as network:
        with contextlib.closing(_Browser(zeroconf, network, note)):
            threading.Event().wait(seconds)
        for name in sorted(names):
            info = network.get_service_info(SERVICE_TYPE, name, timeout=1000, question_type=zeroconf.DNSQuestionType.QM)
            if info is not None and (engine := _engine(info)) is not None:
                found[name] = engine
    return sorted(found.values(), key=lambda engine: (engine.name, engine.url))


class _Browser:
    """A browser that ends with `close`, as everything else does."""

    def __init__(self, zeroconf: Any, network: Any, note: Any) -> None:
        # Answers to all rather than to the asker alone: of two programs on one machine only one would get the latter.
        question = zeroconf.DNSQuestionType.QM
        self._browser = zeroconf.ServiceBrowser(network, SERVICE_TYPE, handlers=[note], question_type=question)

    def close(self) -> None:
        self._browser.cancel()


def _engine(info: Any) -> NetworkEngine | None:
    """What an announcement says; None for one that makes no sense."""
    facts = {
        key.decode("utf-8", "replace"): (value or b"").decode("utf-8", "replace") for key, value in dict(info.properties).items()
    }
    addresses = sorted(info.parsed_scoped_addresses(), key=lambda text: ipaddress.ip_address(text.partition("%")[0]).version)
    if not addresses or not info.port or not facts.get("events", "").isdecimal():
        return None
    address = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    return NetworkEngine(
        name=facts.get("name", ""),
        url=f"tcp://{address}:{info.port}",
        events_port=int(facts["events"]),
        host=str(info.server or "").removesuffix(".local.").rstrip("."),
        version=facts.get("version", ""),
        fingerprint=facts.get("key", ""),
    )
