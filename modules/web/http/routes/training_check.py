"""`/api/v1/training/check`: what is to be said of a plan before it starts. Nothing is queued, nothing changes."""

from typing import Any

from fastapi import APIRouter

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.services.training.answer import as_json
from modules.services.training.check import checker_of
from modules.web.http.limits import new_router
from modules.web.http.training_body import PlanBody, plan_of


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page asks while the form is filled in."""
    return [Routes(name="training check", build=build)]


def build(studio: Studio) -> APIRouter:
    """The route."""
    router = new_router("/api/v1/training")
    checked = checker_of(studio)

    @router.post("/check")
    def check(body: PlanBody) -> dict[str, Any]:  # pyright: ignore[reportInvalidTypeForm]
        """Red, amber or green, with the reasons and what would mend them. Plans may be incomplete or wrong."""
        return as_json(checked(plan_of(body)))

    return router
