"""`/sdapi/v1/png-info`: the text in a picture. It is only read: no setting changes, no model is loaded."""

from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from modules.core.errors import InvalidImage
from modules.core.extension_points import Routes, hookimpl
from modules.imaging.metadata import KEYWORD, Text, read_text
from modules.prompts.infotext import parse_infotext
from modules.services.studio import Studio
from modules.web.http.limits import new_router
from modules.web.http.sdapi_image import INVALID, image_bytes

# What Pillow tells of a file's format, not what somebody wrote into it.
FORMAT_NOISE = frozenset(
    [
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
        "dpi",
        "exif",
        "loop",
        "background",
        "timestamp",
        "duration",
        "progressive",
        "progression",
        "icc_profile",
        "chromaticity",
        "photoshop",
        "UserComment",
    ]
)


LONGEST_READ = 1_000_000  # characters; a picture may carry megabytes, and reading them would hold everybody up


class PngInfoBody(BaseModel):
    """A picture as base64."""

    image: str


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi png info", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The route."""
    router = new_router("/sdapi/v1")

    @router.post("/png-info")
    def png_info(body: PngInfoBody) -> dict[str, Any]:
        """How a picture was made: the text itself, its pairs with defaults filled in, and other texts in the file."""
        try:
            text = read_text(image_bytes(body.image))
        except InvalidImage as error:
            raise HTTPException(500, INVALID) from error
        return {
            "info": text.infotext,
            "items": _others(text),
            "parameters": parse_infotext(text.infotext[:LONGEST_READ]),
        }

    return router


def _others(text: Text) -> dict[str, str]:
    return {
        name: value
        for name, value in text.items.items()
        if name != KEYWORD and name not in FORMAT_NOISE and value != text.infotext
    }
