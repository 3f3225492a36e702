"""Who may talk to this server at all: no other web page, and no name that is not ours.

A page that somebody visits can make their browser send requests to 127.0.0.1, and can point a name of its own there
(DNS rebinding). So the Host must be a name of this machine, and what a browser says about where a request comes from
(Origin, Sec-Fetch-Site) must be this server itself. Programs send neither and are not concerned; logins are `login.py`.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from modules.web.http.answers import refusal

DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Guard:
    """Answers 403 to requests from other pages and to foreign host names; everything else goes on.

    `any_host`: with --listen the server has names nobody told it. Every route needs a login then, and a rebound name
    carries neither our cookie nor a password, so any Host may ask.
    """

    def __init__(self, app: ASGIApp, any_host: bool = False) -> None:
        self.app, self.any_host = app, any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        objection = self._objection(scope) if scope["type"] in ("http", "websocket") else ""
        if not objection:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": objection[:100]})
        else:
            await refusal(403, objection)(scope, receive, send)

    def _objection(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not (self.any_host or names_this_machine(hosts[0])):
            return (
                "This server answers to localhost only; open it as http://127.0.0.1, "
                "or start it with --listen and a login to use it under another name."
            )
        if any(not same_origin(origin, hosts[0]) for origin in headers.getlist("origin")):
            return "This request comes from a page of another server, and is refused."
        if _comes_from_elsewhere(scope, headers):
            return "This request comes from a page of another site, and is refused; open the address directly."
        return ""


def names_this_machine(host: str) -> bool:
    """Whether a Host header means the loopback interface.

    >>> names_this_machine("localhost:7860"), names_this_machine("[::1]:7860"), names_this_machine("evil.com")
    (True, True, False)
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


def same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header names the server that the Host header names. `null` never does.

    >>> same_origin("http://127.0.0.1:7860", "127.0.0.1:7860"), same_origin("null", "127.0.0.1:7860")
    (True, False)
    """
    scheme, _, rest = origin.lower().partition("://")
    port = DEFAULT_PORTS.get(scheme)
    return port is not None and rest.removesuffix(port) == host.lower().removesuffix(port)


def _comes_from_elsewhere(scope: Scope, headers: Headers) -> bool:
    """Browsers say it even where they send no Origin: pictures, frames, forms. Following a link to us is fine."""
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    follows_a_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (follows_a_link and scope.get("method") in ("GET", "HEAD"))
