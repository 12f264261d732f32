"""CURVE keys as text: 32 bytes in Z85 (ZeroMQ's RFC 32), 40 characters."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

_B85: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85: Final = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_KEY: Final = re.compile(rf"[{re.escape(_Z85.decode())}]{{40}}")


def key_text(key: bytes) -> str:
    """A key of 32 bytes, as ZeroMQ hands it over, as text in Z85.

    >>> key_text(bytes(range(32)))
    '009c61o!#m2NH?C3>iWS5d]J*6CRx17-skh9337x'
    """
    return base64.b85encode(key).translate(bytes.maketrans(_B85, _Z85)).decode()


def fingerprint(public: str) -> str:
    """Short form of a public key, to compare by eye.

    >>> fingerprint("009c61o!#m2NH?C3>iWS5d]J*6CRx17-skh9337x")
    '8d0b-3016-d637-0145'
    """
    text = hashlib.sha256(public.encode()).hexdigest()
    return "-".join(text[i : i + 4] for i in range(0, 16, 4))


def is_key(value: object) -> bool:
    """Whether that is a key as text.

    >>> is_key("009c61o!#m2NH?C3>iWS5d]J*6CRx17-skh9337x"), is_key("secret")
    (True, False)
    """
    return isinstance(value, str) and _KEY.fullmatch(value) is not None
