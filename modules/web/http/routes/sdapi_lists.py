"""`/sdapi/v1`: the lists clients fill their menus with. What there is none of is an empty list, not an error."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from modules.core.events import Choice
from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.sdapi_scripts import script_views, titles
from modules.web.widgets.order import SAMPLERS, SCHEDULES, in_order

LATENT_MODES = ("", " (antialiased)", " (bicubic)", " (bicubic antialiased)", " (nearest)", " (nearest-exact)")
AUTOMATIC = {"name": "automatic", "label": "Automatic", "aliases": None, "default_rho": -1.0, "need_inner_model": False}
RHO = {"karras": 7.0, "polyexponential": 1.0}  # Karras et al. 2022, equation 5; 1 is a straight line in log sigma


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi lists", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/sdapi/v1")
    _add_choices(router, studio)
    _add_fixed(router)

    @router.get("/prompt-styles")
    def prompt_styles() -> list[dict[str, str]]:
        """Saved pieces of prompts."""
        found = studio.styles.all()
        return [{"name": one.name, "prompt": one.prompt, "negative_prompt": one.negative_prompt} for one in found]

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
        found = _ordered(studio.catalogue.now().samplers, SAMPLERS)
        return [{"name": one.name, "aliases": list(one.aliases), "options": {}} for one in found]

    @router.get("/schedulers")
    def schedulers() -> list[dict[str, Any]]:
        """Schedules: machine name and label."""
        known = _ordered(studio.catalogue.now().schedules, SCHEDULES)
        found = [one for one in known if one.name != AUTOMATIC["label"]]
        return [AUTOMATIC, *(_schedule_view(one) for one in found)]


def _ordered(choices: Sequence[Choice], known: tuple[str, ...]) -> list[Choice]:
    by_name = {one.name: one for one in choices}
    return [by_name[name] for name in in_order(by_name, known)]


def _schedule_view(choice: Choice) -> dict[str, Any]:
    return {
        "name": choice.key or choice.name,
        "label": choice.name,
        "aliases": list(choice.aliases) or None,
        "default_rho": RHO.get(choice.key, -1.0),
        "need_inner_model": False,
    }


def _add_fixed(router: APIRouter) -> None:
    @router.get("/face-restorers")
    def face_restorers() -> list[dict[str, Any]]:
        """There are none."""
        return []

    @router.get("/latent-upscale-modes")
    def latent_upscale_modes() -> list[dict[str, str]]:
        """Ways to enlarge latents between the two passes."""
        return [{"name": f"Latent{mode}"} for mode in LATENT_MODES]

    @router.get("/scripts")
    def scripts() -> dict[str, Sequence[str]]:
        """Titles of scripts, by tab."""
        return {"txt2img": titles(edits=False), "img2img": titles(edits=True)}

    @router.get("/script-info")
    def script_info() -> list[dict[str, Any]]:
        """Scripts with their arguments."""
        return script_views()
