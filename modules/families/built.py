"""A model in memory: its networks and what is needed to draw with them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modules.core.errors import InvalidModelFile
from modules.diffusion.conditioning import Chunk, Reading, read
from modules.diffusion.guided import Text
from modules.families.original_layout import Layout

TOKENIZER = Path(__file__).parent / "assets" / "clip_tokenizer"
KINDS = {4: "text", 8: "edit", 9: "inpaint"}  # by the number of channels that the U-Net takes


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How a model is to be built. `memory`: normal, medvram, lowvram. `attention`: sdpa, xformers.

    `fp8`: keep the weights of the U-Net's linear layers and convolutions in 8 bits.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    half: bool = True
    memory: str = "normal"
    attention: str = "sdpa"
    fp8: bool = False


@dataclass(frozen=True, kw_only=True)
class LatentColours:
    """Latents to colours without the autoencoder, for previews: rgb = latents · matrix + bias, both in -1 to 1.

    `matrix`: (c, 3) rows of red, green, blue, one for each latent channel. `bias`: (3,).
    """

    matrix: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Tower:
    """One of a model's text encoders: the attribute `part` of `Built`, the name `key` by which embedding files mean it."""

    part: str = "text_encoder"
    key: str = "clip_l"
    reading: Reading = field(default_factory=Reading)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How a model wants to be told sizes, beside the text (Podell et al. 2023, arXiv:2307.01952, §2.2).

    Original size and crop, then the target size, or for a refiner the aesthetic score of wanted and unwanted pictures.
    `zeroed`: an empty negative prompt is all zeros.
    """

    scores: tuple[float, float] | None = None
    zeroed: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """A prompt's text: states (77k, d), pooled (p,) for models that use it; whether there was no text at all."""

    states: Tensor
    pooled: Tensor | None = None
    empty: bool = False


@dataclass(kw_only=True, eq=False)
class Built:
    """Networks of diffusers and transformers in evaluation mode on `device`, in the file's configuration.

    `sigmas`: the noise level of each training step, ascending. `prediction`: epsilon or v_prediction.
    `scaling_factor`: latents of the U-Net are those of the autoencoder times this. `dtype` is the U-Net's number type.
    `text_encoder` is None for the refiner of SDXL, which has `text_encoder_2` only.
    `layout`, `markers` (tensors that only say something) and `metadata` are the file's own. `colours` is None when the file does not say how its latents look.
    """

    family: str
    unet: Any
    vae: Any
    text_encoder: Any
    text_encoder_2: Any = None
    sigmas: tuple[float, ...]
    device: torch.device
    dtype: torch.dtype
    scaling_factor: float
    latent_channels: int = 4
    prediction: str = "epsilon"
    towers: tuple[Tower, ...] = (Tower(),)
    sizes: Sizes | None = None
    layout: Layout = field(default_factory=Layout)
    markers: tuple[str, ...] = ()
    tokenizer_folder: Path = TOKENIZER
    colours: LatentColours | None = None
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)

    # What it is ---------------------------------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """text, inpaint (9 channels: latents, mask, masked picture) or edit (8: latents, picture; InstructPix2Pix)."""
        return KINDS.get(self.unet.config.in_channels, "text")

    @property
    def is_refiner(self) -> bool:
        """Whether it only finishes what another model began."""
        return self.sizes is not None and self.sizes.scores is not None

    @property
    def networks(self) -> dict[str, Any]:
        """The networks there are, in the order in which a picture needs them."""
        parts = ("text_encoder", "text_encoder_2", "unet", "vae")
        return {part: getattr(self, part) for part in parts if getattr(self, part) is not None}

    @property
    def encoder_widths(self) -> dict[str, int]:
        """The width of each text encoder by its name in embedding files."""
        return {tower.key: getattr(self, tower.part).config.hidden_size for tower in self.towers}

    @property
    def downscale(self) -> int:
        """Pixels per latent along a side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(c, h, w) of the latents of a picture of this size in pixels."""
        return self.latent_channels, height // self.downscale, width // self.downscale

    def footprint(self) -> int:
        """Bytes of all weights."""
        weights = [one for network in self.networks.values() for one in network.parameters()]
        return sum(one.numel() * one.element_size() for one in weights)

    # Text ---------------------------------------------------------------------------------------------------------

    def encode(
        self,
        chunks_per_prompt: Sequence[Sequence[Chunk]],
        *,
        clip_skip: int = 1,
        emphasis: str = "Original",
        embeddings: Mapping[str, Mapping[str, Tensor]] | None = None,
        clip_l_skip: bool = False,
        learning: bool = False,
    ) -> list[Encoded]:
        """Each prompt's text, on the device. The padding behind the first end token is made what the model wants.

        embeddings: vectors (v, d) by embedding and by text encoder (see `encoder_widths`). clip_l_skip: let SDXL's
        smaller encoder skip layers too.  learning: gradients flow back, see `read`.  Raises ValueError when the prompts have different numbers of chunks,
        UnknownName for emphasis, InvalidModelFile for an embedding that was made for another kind of model.
        """
        states: list[Tensor] = []
        pooled: Tensor | None = None
        for tower in self.towers:
            reading = tower.reading.with_clip_skip(clip_skip)
            if clip_l_skip and tower.key == "clip_l" and not reading.skips:
                reading = Reading(layer=-clip_skip, normed=False)
            vectors = {name: self._vectors(name, tables, tower) for name, tables in (embeddings or {}).items()}
            network = getattr(self, tower.part)
            found, pool = read(
                chunks_per_prompt, network, reading, emphasis=emphasis, vectors=vectors, learning=learning
            )
            states.append(found)
            pooled = pooled if pool is None else pool
        together = torch.cat(states, dim=-1)
        return [
            Encoded(states=one, pooled=None if pooled is None else pooled[row], empty=_is_empty(chunks))
            for row, (one, chunks) in enumerate(zip(together, chunks_per_prompt, strict=True))
        ]

    def _vectors(self, name: str, tables: Mapping[str, Tensor], tower: Tower) -> Tensor:
        table, width = tables.get(tower.key), self.encoder_widths[tower.key]
        if table is None or table.shape[-1] != width:
            raise InvalidModelFile(
                f"The embedding {name} was made for another kind of model; it has no vectors of {width} numbers."
            )
        return table

    def text_of(
        self,
        encoded: Encoded,
        *,
        width: int,
        height: int,
        negative: bool = False,
        crop: tuple[int, int] = (0, 0),
        score: float | None = None,
        original: tuple[int, int] | None = None,
    ) -> Text:
        """What the U-Net gets for a picture of this size; the vector is the pooled text, then the sizes.

        crop: (top, left).  score: the model's own unless given.  original: (height, width), the size itself unless given.
        """
        if self.sizes is None or encoded.pooled is None:
            return Text(encoded.states)
        states, pooled = encoded.states, encoded.pooled
        if negative and encoded.empty and self.sizes.zeroed:
            states, pooled = torch.zeros_like(states), torch.zeros_like(pooled)
        numbers = [float(number) for number in (*(original or (height, width)), *crop)]
        if self.sizes.scores is None:
            numbers += [float(height), float(width)]
        else:
            numbers.append(self.sizes.scores[negative] if score is None else score)
        # sizes stay in 32 bits: bfloat16 cannot tell 1000 from 1004
        return Text(states, torch.cat([pooled.float(), torch.tensor(numbers, device=pooled.device)]))

    # Latents ------------------------------------------------------------------------------------------------------

    def predict(
        self,
        x: Tensor,
        timestep: Tensor,
        text: Tensor,
        vector: Tensor | None = None,
        concat: Tensor | None = None,
    ) -> Tensor:
        """The U-Net's prediction (b, c, h, w), float32, for noisy latents (b, c, h, w) at timestep (b,).

        text: (b, t, d).  vector: (b, v), as `text_of` makes it.  concat: (b, c', h, w), further channels of `kind` inpaint (the
        mask, 1 is to be painted, then the masked picture's latents) or edit (the picture's latents).
        """
        x = x.to(self.device, self.dtype)
        if concat is not None:
            x = torch.cat([x, concat.to(x)], dim=1)
        added = None if vector is None else self._added(vector)
        found = self.unet(
            x.contiguous(memory_format=torch.channels_last),
            timestep.to(self.device),
            text.to(self.device, self.dtype),
            added_cond_kwargs=added,
            return_dict=False,
        )
        return found[0].float()

    def _added(self, vector: Tensor) -> dict[str, Tensor]:
        numbers = 6 if self.sizes is None or self.sizes.scores is None else 5
        pooled, sizes = vector.to(self.device).split([vector.shape[1] - numbers, numbers], dim=1)
        return {"text_embeds": pooled.to(self.dtype), "time_ids": sizes.float()}

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (b, c, h, w) to pictures (b, 3, 8h, 8w), float32, about -1 to 1, on the CPU."""
        scaled = (latents / self.scaling_factor).to(self.device, self._vae_number)
        found = self.vae.decode(scaled.contiguous(memory_format=torch.channels_last), return_dict=False)
        return found[0].float().cpu()

    def encode_picture(self, pixels: Tensor) -> Tensor:
        """Pictures (b, 3, 8h, 8w), -1 to 1, to latents (b, c, h, w), float32, on the device: the mean, so without chance."""
        return self.edit_latents(pixels) * self.scaling_factor

    def edit_latents(self, pixels: Tensor) -> Tensor:
        """As `encode_picture`, but not scaled: what InstructPix2Pix was trained to see (Brooks et al. 2023)."""
        pixels = pixels.to(self.device, self._vae_number).contiguous(memory_format=torch.channels_last)
        return self.vae.encode(pixels).latent_dist.mean.float()

    @property
    def _vae_number(self) -> torch.dtype:
        return next(self.vae.parameters()).dtype

    @contextmanager
    def with_vae(self, vae: Any) -> Iterator["Built"]:
        """This model with another autoencoder (see `families/vae.py`) for a while."""
        own, self.vae = self.vae, vae
        try:
            yield self
        finally:
            self.vae = own


def _is_empty(chunks: Sequence[Chunk]) -> bool:
    """Whether the prompt has no tokens: start, then the end at once."""
    return len(chunks) == 1 and len(set(chunks[0].tokens[1:])) <= 1 and not getattr(chunks[0], "inserted", ())
