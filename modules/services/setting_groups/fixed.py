"""Settings of the field that have one value here: clients and people read them, and learn how it is."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting, Value

SECTION = "As it always is here"
KNOWN: dict[str, tuple[Value, str, str]] = {
    "enable_pnginfo": (True, "Write infotext to metadata of the generated image", "Every picture carries its text."),
    "samples_filename_pattern": ("", "Images filename pattern", "A number and the seed: 00000-12345.png."),
    "save_images_add_number": (True, "Add number to filename when saving", "Names begin with a number."),
    "save_to_dirs": (True, "Save images to a subdirectory", "One folder a day."),
    "directories_filename_pattern": ("[date]", "Directory name pattern", "One folder a day."),
    "grid_save": (False, "Always save all generated image grids", "Sheets are shown and sent, not kept."),
    "grid_only_if_multiple": (True, "Do not save grids consisting of one picture", "One picture is no sheet."),
    "enable_batch_seeds": (True, "Make K-diffusion samplers produce same images in a batch", "They always do."),
    "auto_vae_precision": (True, "Automatically revert VAE to 32-bit floats", "Tried once before a job fails."),
    "face_restoration": (False, "Restore faces", "Not available in this version."),
    "face_restoration_model": ("None", "Face restoration model", "Not available in this version."),
}


@hookimpl
def register_settings() -> list[Setting]:
    """Each has the one value that is true."""
    return [
        Setting(name=name, default=value, options=(value,), label=label, section=SECTION, help=words)
        for name, (value, label, words) in KNOWN.items()
    ]
