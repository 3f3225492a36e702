"""The bodies of POST /sdapi/v1/txt2img and img2img: every field of the field's API, types read as leniently as it does."""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(value: Any) -> Any:
    """A number with a fraction is cut off, an empty text means nothing was said: pydantic 1 did so, clients rely on it."""
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    return None if value == "" else value


Whole = Annotated[int | None, BeforeValidator(_whole)]
Number = Annotated[float | None, Field(allow_inf_nan=False)]
Text = str | None
LONGEST_INFOTEXT = 200_000  # four prompts at their longest, and room for the rest
Flag = bool | None
Names = Annotated[list[str] | None, Field(max_length=100)]


class ImageBody(BaseModel):
    """What both have. `None` always means the default; unknown keys are ignored."""

    model_config = ConfigDict(coerce_numbers_to_str=True, extra="ignore")

    prompt: Text = ""
    negative_prompt: Text = ""
    styles: Names = None
    seed: Whole = -1
    subseed: Whole = -1
    subseed_strength: Number = 0
    seed_resize_from_h: Whole = -1
    seed_resize_from_w: Whole = -1
    sampler_name: Text = None
    scheduler: Text = None
    batch_size: Whole = 1
    n_iter: Whole = 1
    steps: Whole = 50
    cfg_scale: Number = 7.0
    width: Whole = Field(default=None, description="The model's own width when left out.")
    height: Whole = Field(default=None, description="The model's own height when left out.")
    restore_faces: Flag = None
    tiling: Flag = None
    do_not_save_samples: Flag = False
    do_not_save_grid: Flag = False
    eta: Number = None
    denoising_strength: Number = None
    s_min_uncond: Number = None
    s_churn: Number = None
    s_tmax: Number = None
    s_tmin: Number = None
    s_noise: Number = None
    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: Flag = True
    refiner_checkpoint: Text = None
    refiner_switch_at: Number = None
    disable_extra_networks: Flag = False
    firstpass_image: Text = None
    comments: dict[str, Any] | None = None
    force_task_id: Text = None
    sampler_index: Text = "Euler"
    script_name: Text = None
    script_args: list[Any] | None = []
    send_images: Flag = True
    save_images: Flag = False
    alwayson_scripts: dict[str, Any] | None = {}
    infotext: Annotated[Text, Field(max_length=LONGEST_INFOTEXT)] = None
    atelier: dict[str, Any] | None = Field(default=None, description="Fields of ours that the others have no name for.")

    def said(self, name: str) -> Any:
        """A field's value, the default standing for `null`."""
        value = getattr(self, name)
        return type(self).model_fields[name].default if value is None else value


class Text2ImageBody(ImageBody):
    """What a client may send to make pictures from text."""

    enable_hr: Flag = False
    firstphase_width: Whole = 0
    firstphase_height: Whole = 0
    hr_scale: Number = 2.0
    hr_upscaler: Text = None
    hr_second_pass_steps: Whole = 0
    hr_resize_x: Whole = 0
    hr_resize_y: Whole = 0
    hr_checkpoint_name: Text = None
    hr_sampler_name: Text = None
    hr_scheduler: Text = None
    hr_prompt: Text = ""
    hr_negative_prompt: Text = ""


class Image2ImageBody(ImageBody):
    """What a client may send to make pictures from pictures. Pictures are base64, bare or as data URIs."""

    init_images: list[str] | None = None
    resize_mode: Whole = 0
    denoising_strength: Number = 0.75
    image_cfg_scale: Number = None
    mask: Text = None
    mask_blur: Whole = None
    mask_blur_x: Whole = 4
    mask_blur_y: Whole = 4
    mask_round: Flag = True
    inpainting_fill: Whole = 0
    inpaint_full_res: Flag = True
    inpaint_full_res_padding: Whole = 0
    inpainting_mask_invert: Whole = 0
    initial_noise_multiplier: Number = None
    latent_mask: Text = None
    include_init_images: Flag = False

    def echoed(self) -> dict[str, Any]:
        """The body as it goes back: without the pictures, unless the client wants them."""
        known = self.model_dump()
        return known if self.include_init_images else known | {"init_images": None, "mask": None}
