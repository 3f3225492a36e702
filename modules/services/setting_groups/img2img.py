"""Settings about pictures made from pictures. Defaults are those of `EditRequest`."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "img2img"


@hookimpl
def register_settings() -> list[Setting]:
    """Steps and colours, noise, what comes back beside the pictures."""
    return [*_steps_and_colours(), *_noise(), *_masks()]


def _steps_and_colours() -> list[Setting]:
    return [
        Setting(
            name="img2img_fix_steps",
            default=False,
            label="With img2img, do exactly the amount of steps the slider specifies",
            section=SECTION,
            help="Otherwise fewer, by the denoising strength.",
        ),
        Setting(
            name="img2img_color_correction",
            default=False,
            label="Apply color correction to img2img results to match original colors",
            section=SECTION,
            help="Bring the colours back to those of the picture it came from.",
        ),
        Setting(
            name="img2img_background_color",
            default="#ffffff",
            label="With img2img, fill transparent parts of the input image with this color",
            section=SECTION,
            help="As #rrggbb.",
        ),
    ]


def _noise() -> list[Setting]:
    return [
        Setting(
            name="initial_noise_multiplier",
            default=1.0,
            label="Noise multiplier for img2img",
            section=SECTION,
            minimum=0,
            maximum=1.5,
            help="Below 1: smoother; above: more detail.",
        ),
        Setting(
            name="img2img_extra_noise",
            default=0.0,
            label="Extra noise multiplier for img2img and hires fix",
            section=SECTION,
            minimum=0,
            maximum=1,
            help="Noise added to the latents of the picture it came from; 0 is off.",
        ),
        Setting(
            name="inpainting_mask_weight",
            default=1.0,
            label="Inpainting conditioning mask strength",
            section=SECTION,
            minimum=0,
            maximum=1,
            help="For inpainting models: how much of the masked place is hidden from them.",
        ),
    ]


def _masks() -> list[Setting]:
    return [
        Setting(
            name="return_mask",
            default=False,
            label="For inpainting, include the greyscale mask in results for web",
            section=SECTION,
            help="API clients get the mask after each picture.",
        ),
        Setting(
            name="return_mask_composite",
            default=False,
            label="For inpainting, include masked composite in results for web",
            section=SECTION,
            help="API clients get what was painted, cut out along the mask, after each picture.",
        ),
    ]
