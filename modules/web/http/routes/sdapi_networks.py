"""`/sdapi/v1`: the files beside the checkpoints, as clients of the field list and name them."""

from typing import Any

from fastapi import APIRouter

from modules.core.extension_points import Routes, hookimpl
from modules.core.requests import FileRecord
from modules.services.studio import Studio
from modules.web.http.limits import new_router

REFRESHES = ("refresh-vae", "refresh-embeddings", "refresh-loras")


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi networks", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/sdapi/v1")
    _add_files(router, studio)
    _add_embeddings(router, studio)

    def refresh() -> None:
        """Look at the folders again."""
        studio.shelf.refresh()

    for name in REFRESHES:
        router.add_api_route(f"/{name}", refresh, methods=["POST"], name=name, operation_id=name)

    return router


def _add_files(router: APIRouter, studio: Studio) -> None:
    def sound(kind: str) -> list[FileRecord]:
        return [one for one in studio.shelf.files(kind) if not one.problem]

    @router.get("/loras")
    def loras() -> list[dict[str, Any]]:
        """Networks that `<lora:name:weight>` in a prompt can name."""
        return [_lora(studio, one) for one in sound("lora")]

    @router.get("/hypernetworks")
    def hypernetworks() -> list[dict[str, str]]:
        """Networks that `<hypernet:name:weight>` in a prompt can name."""
        return [{"name": one.name, "path": one.path} for one in sound("hypernetwork")]

    @router.get("/sd-vae")
    def sd_vae() -> list[dict[str, str]]:
        """Autoencoders that the setting `sd_vae` can name."""
        return [
            {"model_name": one.path.replace("\\", "/").rpartition("/")[2], "filename": one.path} for one in sound("vae")
        ]


def _lora(studio: Studio, record: FileRecord) -> dict[str, Any]:
    header = studio.shelf.header(record)
    metadata = dict(header.metadata) if header else {}
    return {"name": record.name, "alias": record.alias or record.name, "path": record.path, "metadata": metadata}


def _add_embeddings(router: APIRouter, studio: Studio) -> None:
    @router.get("/embeddings")
    def embeddings() -> dict[str, dict[str, Any]]:
        """Textual inversions: those that can be used, and those that cannot."""
        vectors = studio.shelf.vectors()
        known: dict[str, dict[str, Any]] = {"loaded": {}, "skipped": {}}
        for one in studio.shelf.files("embedding"):
            header = studio.shelf.header(one)
            shape = next((shape[-1] for shape in header.shapes.values() if shape), None) if header else None
            found = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": shape}
            known["skipped" if one.problem else "loaded"][one.name] = found | {"vectors": vectors.get(one.name)}
        return known
