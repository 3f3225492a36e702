"""Settings about the files of pictures and what API clients get."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "Saving images"


@hookimpl
def register_settings() -> list[Setting]:
    """The field's names."""
    return [
        Setting(
            name="samples_save",
            default=True,
            label="Always save all generated images",
            section=SECTION,
            help="Off: pictures are kept for a day, outside the folder of your pictures.",
        ),
        Setting(
            name="samples_format",
            default="png",
            label="File format for images",
            section=SECTION,
            options=("png", "jpg", "jpeg", "webp"),
            help="How the HTTP API sends pictures. Files on the disk are always PNG, which keeps every pixel.",
        ),
        Setting(
            name="jpeg_quality",
            default=80,
            label="Quality for saved jpeg and webp images",
            section=SECTION,
            minimum=1,
            maximum=100,
            help="Of pictures that the HTTP API sends as jpg or webp.",
        ),
        Setting(
            name="return_grid",
            default=True,
            label="Show grid in results for web",
            section=SECTION,
            help="API clients that save their pictures get a sheet of all of them first.",
        ),
    ]
