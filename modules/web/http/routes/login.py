"""The page's login: a form that works without scripts, a strict cookie, and the addresses programs of the field ask for."""

import html
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.answers import refusal
from modules.web.http.door import client_address, too_many
from modules.web.http.limits import new_router
from modules.web.http.login import SESSION_SECONDS, TooManyTries
from modules.web.http.people import Owner, TheDoor
from modules.web.theme import DARK, LIGHT

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
STYLE = """
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--at-ground);
color: var(--at-text); font: 16px/1.5 system-ui, sans-serif; }
form { width: min(20rem, calc(100vw - 6rem)); padding: 2rem; background: var(--at-surface); border-radius: 12px; }
h1 { margin: 0 0 1rem; font-size: 1.25rem; }
p { color: var(--at-problem); }
label { display: block; margin-top: 1rem; }
input { box-sizing: border-box; width: 100%; min-height: 44px; padding: 0 .75rem; font: inherit; color: inherit;
background: var(--at-field); border: 1px solid var(--at-edge); border-radius: 8px; }
button { width: 100%; min-height: 44px; margin-top: 1.5rem; font: inherit; font-weight: 600;
color: var(--at-on-accent); background: var(--at-accent); border: 0; border-radius: 8px; cursor: pointer; }
:focus-visible { outline: 3px solid var(--at-accent); outline-offset: 2px; }
"""


@hookimpl
def register_routes() -> list[Routes]:
    """Always served; without a login they say so."""
    return [Routes(name="login", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router()
    _add_form(router)
    _add_questions(router)
    return router


def _add_form(router: APIRouter) -> None:
    @router.get("/login", response_class=HTMLResponse)
    def form(door: TheDoor) -> Response:
        """The form, or the page where nobody has to log in."""
        return _form("") if door.page and door.form else RedirectResponse("/", status_code=303)

    @router.post("/login")
    def log_in(
        request: Request, door: TheDoor, username: Annotated[str, Form()] = "", password: Annotated[str, Form()] = ""
    ) -> Response:
        """`{"success": true}` and a cookie for programs, the page for people; 400 when the password is wrong."""
        person = "text/html" in request.headers.get("accept", "")
        if door.page:
            try:
                right = door.admits([door.page], username.strip(), password, client_address(request.scope))
            except TooManyTries as error:
                return _form(str(error), 429) if person else too_many(error)
            if not right:
                sentence = "Incorrect credentials."
                return _form(sentence, 400) if person else refusal(400, sentence)
        answer = RedirectResponse("/", status_code=303) if person else JSONResponse({"success": True})
        if door.page:
            _give_cookie(answer, request, door, username.strip())
        return answer

    @router.post("/logout")
    def log_out(request: Request, door: TheDoor) -> Response:
        """End this session."""
        door.sessions.end(request.cookies.get(door.cookie, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(door.cookie, path="/", httponly=True, samesite="strict")
        return answer


def _add_questions(router: APIRouter) -> None:
    @router.get("/login_check")
    def login_check() -> None:
        """200 null for who may pass; the others never get here."""

    @router.get("/user")
    def user(owner: Owner) -> str | None:
        """The name one is logged in with."""
        return owner or None

    @router.get("/token")
    def token(owner: Owner) -> dict[str, str | None]:
        """Who one is. The token itself is a cookie that no script may read."""
        return {"token": None, "user": owner or None}

    @router.get("/app_id")
    def app_id(request: Request) -> dict[str, Any]:
        """A number that changes at each start, by which programs notice a restart."""
        return {"app_id": request.app.state.app_id}


def _give_cookie(answer: Response, request: Request, door: TheDoor, name: str) -> None:
    answer.set_cookie(
        door.cookie,
        door.sessions.begin(name),
        max_age=SESSION_SECONDS,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def _colours() -> str:
    """The page's own; without its script the system's wish decides between light and dark."""
    light, dark = (";".join(f"--at-{name}:{value}" for name, value in table.items()) for table in (LIGHT, DARK))
    return f":root{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _form(problem: str, status: int = 200) -> HTMLResponse:
    shown = f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Atelier: log in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_colours()}{STYLE}</style></head>
<body><form method="post" action="/login"><h1>Atelier</h1>{shown}
<label for="username">Name</label><input id="username" name="username" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Log in</button></form></body></html>"""
    return HTMLResponse(
        page, status_code=status, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    )
