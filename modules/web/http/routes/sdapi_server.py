"""`/sdapi/v1/server-*`: end the server from afar; only where --api-server-stop allows it."""

import os
import signal
import threading

from fastapi import APIRouter, HTTPException
from starlette.responses import PlainTextResponse, Response

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router

AFTER = 0.2  # seconds for the answer to leave


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui, and then only with --api-server-stop."""
    return [Routes(name="sdapi server", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes; none without the flag."""
    router = new_router("/sdapi/v1")
    if not studio.flags.api_server_stop:
        return router

    @router.post("/server-stop")
    @router.post("/server-kill")
    def stop() -> Response:
        """End in good order: running jobs wait in the queue for the next start."""
        threading.Timer(AFTER, os.kill, [os.getpid(), signal.SIGTERM]).start()
        return PlainTextResponse("Stopping.")

    @router.post("/server-restart")
    def restart() -> Response:
        """Not possible: what started this server is not known here."""
        raise HTTPException(501, "This server cannot start itself again; stop it and start it where it was started.")

    return router
