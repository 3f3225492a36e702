"""How messages and requests travel and are stored: JSON with the class's name, bytes beside it. Never pickle.

An engine runs strangers' scripts; what it sends must not be able to run code in the web process.
"""

import json
import struct
import types
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, BinaryIO, Union, get_args, get_origin, get_type_hints

from modules.core import events, requests
from modules.core.errors import AtelierError

LONGEST_FRAME = 1 << 30


class BadMessage(AtelierError):
    """Bytes that are no message of ours."""


@cache
def known_classes() -> dict[str, type]:
    """Every dataclass of `requests` and `events` by its name."""
    found = [value for module in (requests, events) for value in vars(module).values()]
    return {one.__name__: one for one in found if isinstance(one, type) and is_dataclass(one)}


def to_json(thing: Any) -> Any:
    """A dataclass as plain JSON values: `{"is": "Started", "job": "…"}`. Bytes are not allowed here.

    >>> to_json(events.Started(job="j1"))
    {'is': 'Started', 'job': 'j1'}
    """
    return _plain(thing, None)


def from_json(value: Any, expected: type[Any] | None = None) -> Any:
    """The dataclass again. Unknown fields are dropped, missing ones take their default: old rows stay readable."""
    return _rebuilt(value, expected or object, [])


def write_message(stream: BinaryIO, message: Any) -> None:
    """One frame: total length, JSON length, JSON, then the bytes values one after the other (each with its length)."""
    blobs: list[bytes] = []
    head = json.dumps(_plain(message, blobs), ensure_ascii=True).encode()
    body = b"".join([struct.pack(">I", len(head)), head, *(struct.pack(">I", len(blob)) + blob for blob in blobs)])
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


def read_message(stream: BinaryIO) -> Any:
    """The next message. Raises EOFError when the other side is gone, BadMessage when it is not ours."""
    body = _exactly(stream, _length(_exactly(stream, 4)))
    try:
        head_end = 4 + _length(body[:4])
        value = json.loads(body[4:head_end])
        message = _rebuilt(value, object, _blobs(body[head_end:]))
    except (ValueError, LookupError, TypeError, struct.error) as error:
        raise BadMessage(f"a message could not be read: {error}") from error
    if not is_dataclass(message):
        raise BadMessage(f"{str(message)[:80]!r} is no message")
    return message


def _blobs(rest: bytes) -> list[bytes]:
    blobs: list[bytes] = []
    while rest:
        size = _length(rest[:4])
        blobs.append(rest[4 : 4 + size])
        rest = rest[4 + size :]
    return blobs


def _length(four: bytes) -> int:
    (length,) = struct.unpack(">I", four)
    if length > LONGEST_FRAME:
        raise BadMessage(f"a message of {length:,} bytes is over the limit of {LONGEST_FRAME:,}")
    return int(length)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = stream.read(count)
        if not part:
            raise EOFError("the other side closed the connection")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _plain(value: Any, blobs: list[bytes] | None) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {"is": type(value).__name__} | {
            one.name: _plain(getattr(value, one.name), blobs) for one in fields(value)
        }
    if isinstance(value, list | tuple):
        return [_plain(one, blobs) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, bytes):
        if blobs is None:
            raise TypeError("bytes cannot be stored as JSON")
        blobs.append(value)
        return {"bytes": len(blobs) - 1}
    return value


def _rebuilt(value: Any, expected: Any, blobs: list[bytes]) -> Any:
    if isinstance(value, dict):
        if "bytes" in value:
            return blobs[value["bytes"]]
        return _rebuilt_dataclass(value, blobs)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, list):
        inner = next(iter(get_args(_without_none(expected))), object)
        return tuple(_rebuilt(one, inner, blobs) for one in value)  # pyright: ignore[reportUnknownVariableType]
    return float(value) if _without_none(expected) is float and isinstance(value, int) else value


def _rebuilt_dataclass(value: dict[str, Any], blobs: list[bytes]) -> Any:
    kind = known_classes().get(value.get("is", ""))
    if kind is None:
        raise BadMessage(f"{str(value.get('is'))[:80]!r} is no message or request of this version")
    hints = _hints(kind)
    return kind(**{name: _rebuilt(value[name], hint, blobs) for name, hint in hints.items() if name in value})


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in fields(kind) if one.init}


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return next((one for one in get_args(hint) if one is not type(None)), object)
    return hint
