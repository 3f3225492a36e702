"""Which checkpoints can be taught, by their headers: those that draw from text alone, in numbers that can be changed."""

from functools import lru_cache
from pathlib import Path

from modules.core.errors import InvalidModelFile, InvalidRequest, Problem
from modules.core.requests import ModelRecord
from modules.core.tensorfile import Header, read_header
from modules.families.recognise import SD1_UNET, is_refiner

FIRST = (SD1_UNET, "conv_in.weight")  # the U-Net's first layer: in one file, in a folder of diffusers
OTHERS = {
    9: "It is an inpainting model, which also reads a mask; train its base model instead.",
    8: "It edits pictures by instruction and also reads a picture; train its base model instead.",
}
EIGHT_BITS = "Its numbers have 8 bits, too few to learn in; take the file in 16 or 32 bits."
REFINER = "It is a refiner, which only finishes what another model began; train the base model."


def why_not(record: ModelRecord) -> str:
    """Why a checkpoint cannot be taught, as a sentence; "" when nothing is known against it."""
    return _why_not(record.path, record.modified)


def check_trainable(record: ModelRecord) -> None:
    """Raise InvalidRequest for a checkpoint that cannot be taught."""
    reason = why_not(record)
    if reason:
        raise InvalidRequest(Problem(field="model", message=f"{record.title} cannot be trained. {reason}"))


@lru_cache(maxsize=256)
def _why_not(path: str, modified: int) -> str:
    """`modified`: the file's time, so that another file of the same name is looked at again."""
    try:
        header = _header(Path(path))
    except (InvalidModelFile, OSError):
        return ""  # what cannot be read is somebody else's to say
    if header is None:
        return ""
    first = next((header.shapes[name] for name in FIRST if name in header.shapes), ())
    if len(first) == 4 and first[1] in OTHERS:
        return OTHERS[first[1]]
    if any(header.kinds[name].startswith("F8") for name in FIRST if name in header.kinds) or _mostly_8_bits(header):
        return EIGHT_BITS
    return REFINER if is_refiner(header.shapes) else ""


def _header(path: Path) -> Header | None:
    """The header that tells what a model is: in a folder of diffusers that of the U-Net."""
    if not path.is_dir():
        return read_header(path)
    found = sorted((path / "unet").glob("*.safetensors"))
    return read_header(found[0]) if found else None


def _mostly_8_bits(header: Header) -> bool:
    """Whether the weights of the U-Net's layers are in 8 bits; norms and biases seldom are."""
    layers = [name for name, shape in header.shapes.items() if len(shape) > 1 and not name.startswith("first_stage")]
    return 2 * sum(header.kinds[name].startswith("F8") for name in layers) > len(layers)
