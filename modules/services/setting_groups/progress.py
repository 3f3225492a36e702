"""Settings about what is shown while a picture forms."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "Live previews"


@hookimpl
def register_settings() -> list[Setting]:
    """A preview after each step by default: it costs one small matrix product, not a decoding."""
    return [
        Setting(
            name="live_previews_enable",
            default=True,
            label="Show live previews",
            section=SECTION,
            help="Watch the picture form.",
        ),
        Setting(
            name="show_progress_every_n_steps",
            default=1,
            label="Show a new preview every N steps",
            section=SECTION,
            minimum=-1,
            maximum=32,
            help="0 or less: no previews.",
        ),
        Setting(
            name="show_progress_type",
            default="Approx cheap",
            label="Live preview method",
            section=SECTION,
            options=("Approx cheap", "Approx NN", "Full"),
            help="Approx cheap: colours only, costs nothing. Approx NN: decoded at half the size. Full: decoded, slow.",
        ),
    ]
