"""Settings about the model and how it reads text. Defaults are those of `ImageRequest`."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "Stable Diffusion"


@hookimpl
def register_settings() -> list[Setting]:
    """The model, then its text."""
    return [*_model(), *_text()]


def _model() -> list[Setting]:
    return [
        Setting(
            name="sd_model_checkpoint",
            default="",
            label="Model",
            section=SECTION,
            help="The checkpoint that draws when a request names none; empty is the first one found.",
        ),
        Setting(
            name="sd_vae",
            default="Automatic",
            label="SD VAE",
            section=SECTION,
            help="Another autoencoder: Automatic is the file beside the checkpoint, None the checkpoint's own, "
            "else the name of a file in models/VAE.",
        ),
        Setting(
            name="sd_checkpoints_limit",
            default=1,
            label="Maximum number of checkpoints loaded at the same time",
            section=SECTION,
            minimum=1,
            maximum=10,
            help="Switching between models that are in memory takes no time; holds from the next start on.",
        ),
        Setting(
            name="tiling",
            default=False,
            label="Tiling",
            section=SECTION,
            help="Draw pictures whose edges fit each other when a request does not say.",
        ),
    ]


def _text() -> list[Setting]:
    return [
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
        Setting(
            name="enable_prompt_comments",
            default=True,
            label="Enable comments",
            section=SECTION,
            help="In prompts, what stands behind # to the end of the line is not drawn.",
        ),
        Setting(
            name="use_old_scheduling",
            default=False,
            label="Old prompt editing timelines",
            section=SECTION,
            help="In [from:to:N], read N below 1 as a fraction and any other as a step, in both passes.",
        ),
    ]
