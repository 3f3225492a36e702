"""Settings about sending a picture and its parameters from tab to tab."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "Infotext"


@hookimpl
def register_settings() -> list[Setting]:
    """What goes along with a picture."""
    return [
        Setting(
            name="send_seed",
            default=True,
            label="Send seed when sending prompt or image to other interface",
            section=SECTION,
            help="Off: the other tab keeps its own seed.",
        ),
        Setting(
            name="send_size",
            default=True,
            label="Send size when sending prompt or image to another interface",
            section=SECTION,
            help="Off: the other tab keeps its own width and height.",
        ),
    ]
