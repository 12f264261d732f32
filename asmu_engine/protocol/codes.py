"""What each error code means, for the page; the tree itself, with the classes, is in `errors`."""

from __future__ import annotations

from typing import Final

from asmu_engine.protocol import errors

MEANINGS: Final[dict[type[errors.AsmuError], dict[str, str]]] = {
    errors.ProtocolError: {
        "bad_message": "not msgpack, no map, nested too deep, or a field is missing, unknown or out of range",
        "protocol_version": "the message is of another version of the protocol",
        "message_too_large": "the request, or the answer to it, passes the limit",
        "unknown_request": "there is no request of that type",
        "hello_first": "nothing but `ping` is answered before `hello`",
        "out_of_order": "the id is not greater than that of the request before, and it is no repetition of a remembered one",
        "key_reused": "another transaction has come with this key",
    },
    errors.AccessError: {
        "not_allowed": "the client's role does not allow it",
        "leased": "another client has the node or output channel for itself alone, or owns it",
        "path_forbidden": "the path is outside the folder for recordings, or there is none",
        "key_refused": "the client's key was revoked, or is unknown",
        "token_unknown": "no client with that token is remembered",
        "key_exists": "there is a key, or a file, of that name already",
        "key_unknown": "there is no key of that name",
        "key_unreadable": "the key's file cannot be read, or others can read it",
    },
    errors.PatchError: {
        "unknown_kind": "no kind of core has that name",
        "unknown_node": "there is no such node, or it is of another kind than is needed",
        "duplicate_node": "the name is taken",
        "bad_name": "no name, or one of the device's own nodes, which cannot be edited",
        "unknown_port": "the node has no such input or output, or cannot have so many, or the device runs without that channel",
        "port_in_use": "the input has a source already",
        "not_connected": "the input has no source",
        "unknown_parameter": "the kind has no such parameter",
        "bad_value": "of the wrong type or shape, out of range, or not finite",
        "fixed_parameter": "it cannot be changed once the node exists",
        "unknown_call": "the kind has no such call",
        "cycle": "the connections would form a cycle without a Delay of at least a block",
        "patch_too_large": "too many nodes, connections or bytes",
        "core_failed": "the core raised while it was made or prepared",
        "revision_changed": "the patch has another revision than the transaction was made for",
        "scheduled_unknown": "nothing with that number waits",
        "scheduled_full": "too many transactions wait",
        "not_undoable": "what undoes it is not known any more, or later transactions stand in the way",
    },
    errors.ConfigError: {
        "bad_config": "a setting is unknown or out of range",
        "bad_device_text": "the text names no device, or a wrong option of one",
    },
    errors.DeviceError: {
        "portaudio_missing": "the PortAudio library is not installed",
        "device_unknown": "there is no such device",
        "device_channels": "the device has too few channels, or would run without one that the patch uses",
        "device_samplerate": "the device does not do that samplerate",
        "device_failed": "the device refused, or did not start in time",
        "device_lost": "the device went away",
        "device_state": "not while the device runs, or only while it does",
        "no_fault": "only simulated devices fail on purpose, and not each in every way",
    },
    errors.EngineError: {
        "engine_exists": "an engine of that name runs already",
        "engine_unknown": "no engine of that name runs",
        "engine_gone": "the engine has ended or is ending",
        "engine_failed": "the engine, or a process of it, failed; `retry` says whether another try can help",
        "engine_state": "not now: the device starts or runs already, there are too many clients or requests, or no device",
    },
    errors.EngineTimeout: {"timeout": "no answer in time"},
    errors.RingError: {
        "ring_unknown": "there is no such ring",
        "ring_layout": "the ring is of another version",
        "ring_closed": "nothing more will come through the ring",
        "ring_shape": "a block of other channels than the ring has",
        "ring_position": "that frame position is not in the ring any more",
        "ring_name": "the ring's name would be too long for the system, or is none",
        "ring_exists": "the ring is there already",
        "ring_space": "the system has no memory left for a ring",
        "ring_access": "the ring belongs to another user",
        "ring_full": "the ring has as many paced readers as it can have",
        "ring_timeout": "nothing came in time",
    },
    errors.DiskError: {
        "file_unreadable": "there is no such file, or it cannot be read",
        "file_unwritable": "the file cannot be made or written",
        "file_format": "format, subtype, channels, samplerate or length do not fit",
        "disk_job_unknown": "there is no such recording or player, or it has ended",
        "disk_failed": "the disk did not take or give the data, or the disk process failed",
        "feed_in_use": "another player plays into the feed",
    },
    errors.PluginError: {
        "plugin_unreadable": "the module cannot be imported, or holds no core",
        "plugin_conflict": "its core has the name of another kind",
    },
}
"""By class of error, in the order of the tree."""

CODES: Final[dict[str, str]] = {code: meaning for codes in MEANINGS.values() for code, meaning in codes.items()}
"""By code."""
