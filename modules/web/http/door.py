"""The door: every request passes it, and comes out with a name or not at all. What a login is stands in `login.py`."""

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from modules.core.errors import StorageFailed
from modules.core.files import sync_folder
from modules.core.flags import Flags, logins
from modules.web.http.answers import refusal
from modules.web.http.login import Attempts, Logins, Sessions, TooManyTries, basic_login

KEY_BYTES = 32
PUBLIC = ("/login",)
LONGEST_NAME = 200


@dataclass(frozen=True)
class Door:
    """Who may pass where. `page` opens what is not the API; `api` opens the API; empty ones are open.

    `form`: there is a page, so people log in with a form; else with HTTP Basic only.
    `ours`: paths of our own JSON routes, which logins of the API open too. `api_paths`: those that belong to the API.
    """

    page: Logins
    api: Logins
    sessions: Sessions
    cookie: str
    form: bool
    attempts: Attempts = field(default_factory=Attempts, repr=False)
    ours: Sequence[re.Pattern[str]] = field(default=(), repr=False)
    api_paths: Sequence[re.Pattern[str]] = field(default=(), repr=False)

    def is_api(self, path: str) -> bool:
        """Whether a path belongs to the API."""
        return any(pattern.match(path) for pattern in self.api_paths)

    def name(self, scope: Scope) -> str | None:
        """The name of who asks; "" where nobody has to say it, None for who may not pass. Raises TooManyTries."""
        is_api = self.is_api(scope["path"])
        headers = Headers(scope=scope)
        login = basic_login(headers.get("authorization", ""))
        needed = self.api if is_api else self.page
        if login:
            name = self._by_password(scope, login, needed)
        elif is_api and self.api is not self.page:
            name = None
        else:
            name = self.sessions.name(_cookie(headers, self.cookie))
        if name is None and (needed or login):
            return None
        # Without a login of the page whoever opens it sees everything anyway: then people are not told apart.
        return (name or "") if self.page else ""

    def admits(self, doors: Sequence[Logins], name: str, password: str, address: str) -> bool:
        """Whether a login opens one of the doors. Raises TooManyTries.

        A right password at the wrong door is no guess and does not count as one.
        """
        self.attempts.check(name[:LONGEST_NAME], address)
        right = [door for door in (self.page, self.api) if door.holds(name, password)]
        if any(door in right for door in doors):
            return True
        if not right:
            self.attempts.failed(name[:LONGEST_NAME], address)
        return False

    def _by_password(self, scope: Scope, login: tuple[str, str], needed: Logins) -> str | None:
        open_to_api = needed is self.api or not needed or any(one.match(scope["path"]) for one in self.ours)
        doors = [door for door in (needed, self.api if open_to_api else needed) if door]
        passed = not doors or self.admits(doors, *login, client_address(scope))
        return login[0] if passed else None


class DoorKeeper:
    """The layer in front of everything: who may not pass gets 401, or the login form when a person looks at a page."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket; `scope["state"]["user"]` is the name."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in PUBLIC:
            await self.app(scope, receive, send)
            return
        try:
            name = self.door.name(scope)
        except TooManyTries as error:
            await self._refuse(too_many(error), scope, receive, send)
            return
        if name is None:
            await self._refuse(self._ask(scope), scope, receive, send)
            return
        scope.setdefault("state", {})["user"] = name
        await self.app(scope, receive, send)

    async def _refuse(self, answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "log in first"})
        else:
            await answer(scope, receive, send)

    def _ask(self, scope: Scope) -> Response:
        headers = Headers(scope=scope)
        tried = "authorization" in headers
        is_api = self.door.is_api(scope["path"])
        looks = scope.get("method") in ("GET", "HEAD") and "text/html" in headers.get("accept", "")
        if looks and self.door.form and not tried and not is_api:
            return RedirectResponse("/login", status_code=303)
        # The page's own scripts get no challenge: it would make the browser open its window over the page.
        challenge = {"WWW-Authenticate": 'Basic realm="Atelier", charset="UTF-8"'}
        sentence = "Incorrect username or password" if tried else "Not authenticated"
        return refusal(401, sentence, challenge if is_api or tried or not self.door.form else None)


def client_address(scope: Scope) -> str:
    """Who asks, by network address."""
    return str((scope.get("client") or ("",))[0])


def too_many(error: TooManyTries) -> Response:
    """429 with the time to wait."""
    return refusal(429, str(error), {"Retry-After": str(error.wait)})


def new_door(
    flags: Flags, outputs: Path, has_page: bool, ours: Sequence[re.Pattern[str]], api_paths: Sequence[re.Pattern[str]]
) -> Door:
    """The door that the command line asks for."""
    of_page, of_api = logins(flags.gradio_auth), logins(flags.api_auth)
    api = Logins(of_api or of_page)
    page = Logins(of_page) if has_page and of_api else api
    key = _key(outputs / ".session-key") if page else b""
    return Door(
        page=page,
        api=api,
        sessions=Sessions(page.passwords, key),
        cookie=f"atelier-session-{flags.port}",  # cookies know no ports; two servers on one machine must not mix theirs
        form=has_page,
        ours=ours,
        api_paths=api_paths,
    )


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _key(file: Path) -> bytes:
    """The installation's own secret, readable by its owner only. Raises StorageFailed."""
    try:
        key = file.read_bytes()
        if len(key) == KEY_BYTES:
            return key
        file.unlink()
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"{file} could not be read: {error.strerror}") from error
    key = secrets.token_bytes(KEY_BYTES)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as opened:
            opened.write(key)
            os.fsync(handle)
        sync_folder(file.parent)
    except OSError as error:
        raise StorageFailed(f"{file} could not be written: {error.strerror}") from error
    return key
