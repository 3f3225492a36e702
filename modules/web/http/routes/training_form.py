"""`/api/v1/training/form` and `/example`: what a form for a training needs, and pictures to try it with."""

from typing import Any

from fastapi import APIRouter

from modules.core.extension_points import Routes, hookimpl
from modules.services.studio import Studio
from modules.services.training import form as training_form
from modules.web.http.limits import new_router


@hookimpl
def register_routes() -> list[Routes]:
    """Always served: the page is made of them."""
    return [Routes(name="training form", build=build)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/api/v1/training")

    @router.get("/form")
    def form() -> dict[str, Any]:
        """Fields with labels, ranges and help, presets, methods, models, samplers, limits."""
        return training_form.form(studio)

    @router.get("/example")
    def example() -> dict[str, Any]:
        """Pictures of a subject that the starter model does not know, stored as inputs, with captions."""
        return training_form.example(studio.places, studio.inputs)

    return router
