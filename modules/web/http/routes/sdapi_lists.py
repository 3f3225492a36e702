"""`/sdapi/v1`: the lists clients fill their menus with. What this version has none of is an empty list, not an error."""

from typing import Any

from fastapi import APIRouter

from modules.core.events import Choice
from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router

NOTHING_YET = (
    "upscalers",
    "latent-upscale-modes",
    "sd-vae",
    "hypernetworks",
    "face-restorers",
    "realesrgan-models",
    "prompt-styles",
    "script-info",
    "loras",
)
REFRESHES = ("refresh-vae", "refresh-embeddings", "refresh-loras")
AUTOMATIC = {"name": "automatic", "label": "Automatic", "aliases": None, "default_rho": -1.0, "need_inner_model": False}
KARRAS_RHO = 7.0  # Karras et al. 2022, equation 5


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi lists", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/sdapi/v1")
    _add_choices(router, studio)
    _add_empty(router)

    @router.get("/extensions")
    def extensions() -> list[dict[str, Any]]:
        """The folders in `extensions/`; none of them was fetched by us, so there is nothing to say of their origin."""
        reports = studio.extensions.reports()
        broken = {report.name for report in reports if report.problem}
        unknown = {"remote": "", "branch": "", "commit_hash": "", "commit_date": 0, "version": ""}
        names = dict.fromkeys(report.name for report in reports)
        return [{"name": name, **unknown, "enabled": name not in broken} for name in names]

    return router


def _add_choices(router: APIRouter, studio: Studio) -> None:
    @router.get("/samplers")
    def samplers() -> list[dict[str, Any]]:
        """Samplers with their aliases."""
        found = studio.catalogue.now().samplers
        return [{"name": one.name, "aliases": list(one.aliases), "options": {}} for one in found]

    @router.get("/schedulers")
    def schedulers() -> list[dict[str, Any]]:
        """Schedules: machine name and label."""
        found = [one for one in studio.catalogue.now().schedules if one.name != AUTOMATIC["label"]]
        return [AUTOMATIC, *(_schedule_view(one) for one in found)]


def _schedule_view(choice: Choice) -> dict[str, Any]:
    return {
        "name": choice.key or choice.name,
        "label": choice.name,
        "aliases": list(choice.aliases) or None,
        "default_rho": KARRAS_RHO if choice.key == "karras" else -1.0,
        "need_inner_model": False,
    }


def _add_empty(router: APIRouter) -> None:
    for name in NOTHING_YET:
        router.add_api_route(f"/{name}", _nothing, methods=["GET"], name=name, operation_id=name)
    for name in REFRESHES:
        router.add_api_route(f"/{name}", _refreshed, methods=["POST"], name=name, operation_id=name)

    @router.get("/scripts")
    def scripts() -> dict[str, list[str]]:
        """Titles of scripts, by tab."""
        return {"txt2img": [], "img2img": []}

    @router.get("/embeddings")
    def embeddings() -> dict[str, dict[str, Any]]:
        """Textual inversions."""
        return {"loaded": {}, "skipped": {}}


def _nothing() -> list[dict[str, Any]]:
    """There are none."""
    return []


def _refreshed() -> None:
    """There is nothing to look for."""
