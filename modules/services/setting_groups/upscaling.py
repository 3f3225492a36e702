"""Settings about making pictures larger. Defaults are those of `UpscaleRequest`."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "Upscaling"


@hookimpl
def register_settings() -> list[Setting]:
    """Tiles bound the memory that an upscaling model needs."""
    return [
        Setting(
            name="ESRGAN_tile",
            default=192,
            label="Tile size for upscaling models",
            section=SECTION,
            minimum=0,
            maximum=512,
            help="In pixels; 0 takes the whole picture at once, which needs much memory.",
        ),
        Setting(
            name="ESRGAN_tile_overlap",
            default=8,
            label="Tile overlap for upscaling models",
            section=SECTION,
            minimum=0,
            maximum=48,
            help="In pixels; with too little the seams are seen.",
        ),
    ]
