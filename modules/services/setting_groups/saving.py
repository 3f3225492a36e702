"""Settings about the files of pictures."""

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
            options=("png",),
            help="PNG keeps every pixel and the text of the picture.",
        ),
    ]
