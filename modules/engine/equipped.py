"""A model as one pass needs it: its autoencoder, networks, tiling and token merging, for the time of a block."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from modules.core.errors import UnknownName
from modules.core.requests import FileRecord, ImageRequest
from modules.diffusion.merging import token_merging
from modules.diffusion.tiling import tiled
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.engine.networks import Named, applied

SIDE_FILE = ".vae"  # name.vae.safetensors beside name.safetensors


@contextmanager
def equipped(
    loaded: Loaded, request: ImageRequest, networks: Sequence[Named], ratio: float, context: JobContext
) -> Iterator[None]:
    """Inside, the model draws as the request wants it; after the block it is what it was, also when something failed.

    `ratio`: of tokens merged in this pass.  Raises UnknownName, InvalidModelFile (the autoencoder).
    """
    built = loaded.built
    with ExitStack() as blocks:
        blocks.enter_context(with_vae(loaded, request, context))
        if request.tiling:
            blocks.enter_context(tiled([built.unet]))
        blocks.enter_context(token_merging(built.unet, ratio))
        blocks.enter_context(applied(networks, built, context))
        yield


@contextmanager
def with_vae(loaded: Loaded, request: ImageRequest, context: JobContext) -> Iterator[None]:
    """Inside, the model has the autoencoder that the request asks for, tiling if it wants that."""
    built = loaded.built
    with ExitStack() as blocks:
        file = vae_file(request, loaded, context.job.files)
        if file is not None:
            blocks.enter_context(built.with_vae(context.models.vae(file, built)))
        if request.tiling:
            blocks.enter_context(tiled([built.vae]))
        yield


def vae_file(request: ImageRequest, loaded: Loaded, files: Sequence[FileRecord]) -> FileRecord | None:
    """The autoencoder that the request asks for; None is the checkpoint's own. Raises UnknownName."""
    known = [one for one in files if one.kind == "vae"]
    if request.vae == "None":
        return None
    if request.vae == "Automatic":
        wanted = Path(loaded.record.path).stem
        stems = {wanted, wanted + SIDE_FILE}
        return next((one for one in known if Path(one.path).stem in stems), None)
    for one in known:
        if request.vae in (one.name, Path(one.path).name):
            return one
    raise UnknownName("VAE", request.vae)
