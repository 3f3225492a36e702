"""Settings about the model and how it reads text."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "Stable Diffusion"


@hookimpl
def register_settings() -> list[Setting]:
    """Defaults are those of `ImageRequest`."""
    return [
        Setting(
            name="sd_model_checkpoint",
            default="",
            label="Model",
            section=SECTION,
            help="The checkpoint that draws when a request names none; empty is the first one found.",
        ),
        Setting(
            name="CLIP_stop_at_last_layers",
            default=1,
            label="Clip skip",
            section=SECTION,
            minimum=1,
            maximum=12,
            help="Take the text from an earlier layer of CLIP; 1 is the last.",
        ),
        Setting(
            name="emphasis",
            default="Original",
            label="Emphasis mode",
            section=SECTION,
            options=("None", "Ignore", "Original", "No norm"),
            help="How (attention) changes the text's embedding.",
        ),
        Setting(
            name="comma_padding_backtrack",
            default=20,
            label="Comma backtrack",
            section=SECTION,
            minimum=0,
            maximum=74,
            help="When a prompt fills 75 tokens, go back this far for a comma to break at.",
        ),
    ]
