"""Settings that trade a little exactness for speed or memory. All are off; with them a picture changes a little."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "Optimizations"


@hookimpl
def register_settings() -> list[Setting]:
    """Attention, token merging, guidance left out."""
    return [
        Setting(
            name="cross_attention_optimization",
            default="Automatic",
            label="Cross attention optimization",
            section=SECTION,
            options=("Automatic", "sdp", "xformers", "sub-quadratic"),
            help="How attention is computed; sub-quadratic needs the least memory. Holds from the next start on.",
        ),
        Setting(
            name="torch_compile",
            default=False,
            label="Compile the model",
            section=SECTION,
            help="Faster steps after a first picture that takes minutes; needs a C++ compiler. Holds from the next start on.",
        ),
        Setting(
            name="fp8_storage",
            default="Disable",
            label="FP8 weight",
            section=SECTION,
            options=("Disable", "Enable for SDXL", "Enable"),
            help="Keep the network in 8 bits: half the memory, a little less exact.",
        ),
        *_merging(),
        *_guidance(),
    ]


def _merging() -> list[Setting]:
    """Bolya & Hoffman 2023, arXiv:2303.17604."""
    known = {
        "token_merging_ratio": ("Token merging ratio", "Faster with large pictures, less detail; 0 is off."),
        "token_merging_ratio_img2img": ("Token merging ratio for img2img", "0 is the same as for txt2img."),
        "token_merging_ratio_hr": ("Token merging ratio for high-res pass", "For the second pass; 0 is off."),
    }
    return [
        Setting(name=name, default=0.0, label=label, section=SECTION, minimum=0, maximum=0.9, help=words)
        for name, (label, words) in known.items()
    ]


def _guidance() -> list[Setting]:
    return [
        Setting(
            name="s_min_uncond",
            default=0.0,
            label="Negative Guidance minimum sigma",
            section=SECTION,
            minimum=0,
            maximum=15,
            help="Below this noise level every second step leaves the negative prompt out.",
        ),
        Setting(
            name="s_min_uncond_all",
            default=False,
            label="Negative Guidance minimum sigma all steps",
            section=SECTION,
            help="Below that noise level all steps leave the negative prompt out.",
        ),
        Setting(
            name="skip_early_cond",
            default=0.0,
            label="Ignore negative prompt during early sampling",
            section=SECTION,
            minimum=0,
            maximum=1,
            help="Part of the steps at the beginning that leave the negative prompt out.",
        ),
        Setting(
            name="pad_cond_uncond",
            default=False,
            label="Pad prompt/negative prompt",
            section=SECTION,
            help="Make both the same length: faster when one is longer than 75 tokens.",
        ),
    ]
