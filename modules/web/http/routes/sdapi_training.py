"""`/sdapi/v1`: the field's addresses for training and for new, empty networks. They say in a sentence that there is none."""

from typing import Any

from fastapi import APIRouter

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router

WORK = {
    "create/embedding": "Making an empty embedding",
    "create/hypernetwork": "Making an empty hypernetwork",
    "train/embedding": "Training an embedding",
    "train/hypernetwork": "Training a hypernetwork",
}


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi training", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/sdapi/v1")
    for path, work in WORK.items():
        _add(router, path, work)
    return router


def _add(router: APIRouter, path: str, work: str) -> None:
    def told(asked: dict[str, Any]) -> dict[str, str]:
        """Not available in this version; clients of the field expect 200 with a sentence for errors too."""
        return {"info": f"{work.lower()} error: not available over HTTP in this version; nothing has been done"}

    router.add_api_route(f"/{path}", told, methods=["POST"], name=path, operation_id=path.replace("/", "-"))
