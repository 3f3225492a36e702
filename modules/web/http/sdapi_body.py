"""The body of POST /sdapi/v1/txt2img: every field of the field's API, all optional, types read as leniently as it does."""

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
Flag = bool | None


class Text2ImageBody(BaseModel):
    """What a client may send. `None` always means the default; unknown keys are ignored."""

    model_config = ConfigDict(coerce_numbers_to_str=True, extra="ignore")

    prompt: Text = ""
    negative_prompt: Text = ""
    styles: list[str] | None = None
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
    force_task_id: Text = None
    sampler_index: Text = "Euler"
    script_name: Text = None
    script_args: list[Any] | None = []
    send_images: Flag = True
    save_images: Flag = False
    alwayson_scripts: dict[str, Any] | None = {}
    infotext: Text = None

    def said(self, name: str) -> Any:
        """A field's value, the default standing for `null`."""
        value = getattr(self, name)
        return type(self).model_fields[name].default if value is None else value
