"""The one way out to the internet: HTTPS to public addresses, resolved once and pinned, also after each redirect.

Made with the standard library's http.client because it connects where it is told: no library of its own pooling,
proxies or retries stands between the address that was checked and the one that is used.
"""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from modules.core.errors import AtelierError, InvalidRequest, Problem

Address = IPv4Address | IPv6Address

MOST_HOPS = 5
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
MOST_JSON = 16 << 20
JSON_SECONDS = 30.0
REDIRECTS = (301, 302, 303, 307, 308)
UNICAST = IPv6Network("2000::/3")
TUNNELS = tuple(IPv6Network(text) for text in ("2002::/16", "2001::/23"))  # they carry IPv4 addresses, or no host's


def refused(sentence: str) -> InvalidRequest:
    """What cannot be fetched, said about the source that was asked for."""
    return InvalidRequest(Problem(field="source", message=sentence))


class Unreachable(AtelierError):
    """The other side did not answer, or not to the end; to try again may help."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An open answer: status, headers in lower case, the address it came from at last, and the body to be read."""

    status: int
    headers: Mapping[str, str]
    url: str
    body: http.client.HTTPResponse

    def read(self, most: int) -> bytes:
        """Some bytes, b"" at the end. Raises Unreachable when the connection broke."""
        try:
            return self.body.read(most)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the connection to {urlsplit(self.url).hostname} broke off") from error


class Net:
    """Opens URLs. `loopback` is for tests alone: plain HTTP to this machine, on any port."""

    def __init__(self, *, loopback: bool = False) -> None:
        self._loopback = loopback

    @cached_property
    def _context(self) -> ssl.SSLContext:
        """Made when it is first needed: reading the certificates takes a moment."""
        return ssl.create_default_context()

    @contextmanager
    def open(self, url: str, *, token: str = "", headers: Mapping[str, str] = {}) -> Generator[Answer, None, None]:
        """The answer to a GET, redirects followed. A token goes to the first host only.

        Raises InvalidRequest for what must not be asked, Unreachable for what does not answer.
        """
        first = self._parts(url).hostname
        for _ in range(MOST_HOPS + 1):
            parts = self._parts(url)
            known = {"Accept-Encoding": "identity", "User-Agent": "Atelier", **headers}
            if token and parts.hostname == first:
                known["Authorization"] = f"Bearer {token}"
            connection = self._connect(parts)
            try:
                answer = _asked(connection, parts, known)
                if answer.status not in REDIRECTS:
                    yield answer
                    return
                url = _joined(url, answer.headers.get("location", ""))
            finally:
                connection.close()
        raise refused(f"{first} redirects more than {MOST_HOPS} times.")

    def json(self, url: str, *, token: str = "") -> Any:
        """What an API says. Raises InvalidRequest, Unreachable."""
        content, end = b"", time.monotonic() + JSON_SECONDS
        with self.open(url, token=token) as answer:
            check_status(answer)
            while block := answer.read(1 << 16):
                content += block
                if len(content) > MOST_JSON or time.monotonic() > end:
                    raise refused(f"{urlsplit(url).hostname} says too much, or too slowly.")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise refused(f"{urlsplit(url).hostname} answered something that is not JSON.") from error

    # -- inside ------------------------------------------------------------------------------------------------------

    def _parts(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError as error:
            raise refused("This is not an address of the web.") from error
        if not host or any(letter <= " " or letter == "\x7f" for letter in url) or not url.isascii():
            raise refused("This is not an address of the web; copy it from the browser's address bar.")
        if parts.username is not None or parts.password is not None:
            raise refused("An address with a name and password in it is not fetched; give the token by itself.")
        plain = self._loopback and parts.scheme == "http"
        if not plain and (parts.scheme != "https" or port not in (None, 443)):
            raise refused("Only https:// addresses on the usual port are fetched.")
        return parts

    def _connect(self, parts: SplitResult) -> http.client.HTTPConnection:
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = self._resolved(host, port)
        try:
            opened = socket.create_connection((str(address), port), CONNECT_SECONDS)
            opened.settimeout(READ_SECONDS)
            if parts.scheme == "https":
                opened = self._context.wrap_socket(opened, server_hostname=host)
        except OSError as error:
            raise Unreachable(f"{host} does not answer ({error.strerror or error}).") from error
        connection = http.client.HTTPConnection(host, port, timeout=READ_SECONDS)
        connection.sock = opened  # connected already, to the address that was checked
        return connection

    def _resolved(self, host: str, port: int) -> Address:
        """The one address to connect to. Every address the name has must be a public one."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{host[:80]} is not known; is this computer online?") from error
        addresses = [ip_address(str(one[4][0]).partition("%")[0]) for one in found]
        for address in addresses:
            if not (is_public(address) or (self._loopback and address.is_loopback)):
                raise refused(f"{host[:80]} is not a public address; only those are fetched.")
        return addresses[0]


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large, and is neither this machine, its network nor a way to them.

    >>> is_public(ip_address("8.8.8.8")), is_public(ip_address("169.254.169.254")), is_public(ip_address("::ffff:8.8.8.8"))
    (True, False, False)
    """
    if isinstance(address, IPv6Address):
        tunnelled = any(address in network for network in TUNNELS)
        return address in UNICAST and not tunnelled and address.is_global
    reserved = address.is_multicast or address.is_reserved or str(address).startswith("192.0.0.")
    return address.is_global and not reserved


def _joined(url: str, to: str) -> str:
    try:
        return urljoin(url, to)
    except ValueError as error:
        raise refused(f"{urlsplit(url).hostname} redirects to what is no address.") from error


def check_status(answer: Answer) -> None:
    """Raise what an answer other than success means."""
    host = urlsplit(answer.url).hostname
    if answer.status in (401, 403):
        raise refused(f"{host} wants a login for this; make an access token there, paste it as the token, try again.")
    if answer.status == 404:
        raise refused(f"{host} has nothing at this address.")
    if answer.status >= 500 or answer.status == 429:
        raise Unreachable(f"{host} cannot answer now ({answer.status}); try again later.")
    if answer.status not in (200, 206):
        raise refused(f"{host} answered {answer.status}.")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise refused(f"{host} sends the file in another form than asked for.")


def _asked(connection: http.client.HTTPConnection, parts: SplitResult, headers: Mapping[str, str]) -> Answer:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", target, headers=dict(headers))
        body = connection.getresponse()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"{parts.hostname} did not answer as a web server does.") from error
    known = {name.lower(): value for name, value in body.getheaders()}
    return Answer(status=body.status, headers=known, url=parts.geturl(), body=body)
