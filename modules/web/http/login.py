"""Logins: of the page (--gradio-auth, a form and a cookie) and of the HTTP API (--api-auth, HTTP Basic). Deny by default.

Where any login is set nothing is open: without --api-auth the API asks for a login of the page, and every path that no
route of ours claims belongs to the page.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SESSION_SECONDS = 30 * 24 * 3600
MOST_FAILURES, WINDOW = 10, 60.0  # tries per name and address, per minute
MOST_REMEMBERED = 10_000


class TooManyTries(Exception):
    """Wrong passwords came too fast; `wait` seconds have to pass."""

    def __init__(self, wait: float) -> None:
        self.wait = max(1, round(wait))
        super().__init__(f"Too many wrong passwords; try again in {self.wait} seconds.")


class Attempts:
    """Counts wrong passwords per name and address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[tuple[str, str], list[float]] = {}
        self._lock = threading.Lock()

    def check(self, name: str, address: str) -> None:
        """Raise TooManyTries when this name from this address has to wait."""
        with self._lock:
            recent = self._recent(name, address)
        if len(recent) >= MOST_FAILURES:
            raise TooManyTries(recent[0] + WINDOW - self._clock())

    def failed(self, name: str, address: str) -> None:
        """One more wrong password."""
        with self._lock:
            recent = self._recent(name, address)
            self._failures.pop((name, address), None)
            if len(self._failures) >= MOST_REMEMBERED:
                self._failures.pop(next(iter(self._failures)))
            self._failures[name, address] = [*recent, self._clock()]

    def _recent(self, name: str, address: str) -> list[float]:
        since = self._clock() - WINDOW
        return [moment for moment in self._failures.get((name, address), []) if moment > since]


@dataclass(frozen=True)
class Logins:
    """Names and passwords of one door. No name: the door is open."""

    passwords: Mapping[str, str] = field(repr=False)

    def __bool__(self) -> bool:
        return bool(self.passwords)

    def holds(self, name: str, password: str) -> bool:
        """Whether this is a login, in the same time for every wrong one."""
        known = self.passwords.get(name)
        right = hmac.compare_digest(_digest(password), _digest(known if known is not None else secrets.token_hex(16)))
        return right and known is not None


class Sessions:
    """Signed cookies: name, end and a signature bound to the password, so that they survive a restart of the server
    but not a change of the password. Nothing is stored but the sessions that were ended before their time."""

    def __init__(self, passwords: Mapping[str, str], key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._passwords, self._key, self._clock = passwords, key, clock
        self._ended: set[str] = set()

    def begin(self, name: str) -> str:
        """A cookie value for somebody who has just logged in."""
        end = int(self._clock()) + SESSION_SECONDS
        content = f"{base64.urlsafe_b64encode(name.encode()).decode()}.{end}.{secrets.token_urlsafe(12)}"
        return f"{content}.{self._signature(content, name)}"

    def name(self, cookie: str) -> str | None:
        """Whose session this is; None for one that is forged, over or ended."""
        content, _, signature = cookie.rpartition(".")
        try:
            encoded, end, _ = content.split(".")
            name = base64.urlsafe_b64decode(encoded).decode()
            over = int(end) < self._clock()
        except ValueError:
            return None
        if name not in self._passwords or over or cookie in self._ended:
            return None
        right = hmac.compare_digest(signature.encode(errors="replace"), self._signature(content, name).encode())
        return name if right else None

    def end(self, cookie: str) -> None:
        """Log out."""
        if self.name(cookie) is not None:
            self._ended.add(cookie)

    def _signature(self, content: str, name: str) -> str:
        message = f"{content}\n{self._passwords[name]}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


def basic_login(header: str) -> tuple[str, str] | None:
    """Name and password of an Authorization header; None for another kind or a broken one.

    >>> basic_login("Basic YW5uOmE6Yg==")
    ('ann', 'a:b')
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (name, password) if colon else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
