"""The numbers behind the starter model in one place, and the parts of a build made from them, each when first needed."""

import logging
import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from modules.families.built import TOKENIZER
from modules.families.judge import IdentityProbe, Judge
from modules.prompts.wording import WEARING
from modules.starter.autoencoder import (
    AutoencoderShape,
    build_autoencoder,
    encode_all,
    train_autoencoder,
    train_decoder,
)
from modules.starter.clip import ClipShape, Pairs, build_clip, text_encoder_of, train_clip, with_text_encoder
from modules.starter.drawing import Recipe, generate, sheet
from modules.starter.emphasis import EmphasisShape, teach_weights
from modules.starter.export import Parts, export_checkpoint
from modules.starter.identity import ANSWERS, IdentityShape, figures, lessons, train_identity
from modules.starter.judge import JudgeShape, judged_figures, slot_words, train_judge
from modules.starter.loop import CPU, Average, Plan, save_atomically
from modules.starter.onward import Finished
from modules.starter.pictures import Bytes, Gallery, open_pictures, open_worn
from modules.starter.rivals import colours_of
from modules.starter.sheets import SHOWN
from modules.starter.texts import open_texts
from modules.starter.unet import Examples, Painter, UnetShape, build_unet, halved, sharpen, sharpening_of, train_unet
from modules.starter.world import FULL, Vocabulary, full_caption

log = logging.getLogger(__name__)

READ = "text_encoder."  # what has learned already


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large everything is. The defaults make a model of the second version's sizes (docs/starter.md); tests use tiny ones."""

    words: Vocabulary = FULL
    size: int = 128
    pictures: int = 40_000
    encoded: int = 30_000
    autoencoder_steps: int = 5_000
    decoder_steps: int = 0
    clip_steps: int = 2_500
    vision_steps: int = 2_500  # of CLIP's picture half, after the text half has learned with the U-Net
    judge_steps: int = 1_500
    identity_steps: int = 2_500
    halved_steps: int = 700  # of the U-Net on latents of half the side
    unet_steps: int = 1_400
    emphasis_steps: int = 500  # of what the U-Net reads words with: weights are taught last
    autoencoder: AutoencoderShape = field(default_factory=AutoencoderShape)
    clip: ClipShape = field(default_factory=ClipShape)
    judge: JudgeShape = field(default_factory=JudgeShape)
    identity: IdentityShape = field(default_factory=IdentityShape)
    unet: UnetShape = field(default_factory=UnetShape)
    emphasis: EmphasisShape = field(default_factory=EmphasisShape)
    captions: int = 8  # of each picture
    seconds: Mapping[str, float] = field(default_factory=dict)  # the longest that a part may take, by its name
    seed: int = 1


LARGE = Sizes(  # for a data-centre GPU: see docs/starter.md
    pictures=150_000,
    encoded=150_000,
    autoencoder_steps=20_000,
    decoder_steps=4_000,
    clip_steps=3_000,
    judge_steps=4_000,
    halved_steps=4_000,
    unet_steps=20_000,
    emphasis_steps=4_000,
    autoencoder=AutoencoderShape(batch=192),
    clip=ClipShape(batch=512),
    unet=UnetShape(batch=768, halved_batch=2048),
    emphasis=EmphasisShape(batch=384, rivals=256),
    seconds={
        "autoencoder": 480,
        "decoder": 100,
        "clip": 80,
        "judge": 110,
        "halved": 120,
        "unet": 420,
        "emphasis": 60,
        "vision": 40,
        "identity": 60,
    },
)

ONWARD = Sizes(  # from a finished model: the sixth version from the fifth. What has no steps stays as it is.
    seed=5,  # a sitting that trains the U-Net on wants another: other pictures, other random numbers
    autoencoder_steps=0,
    decoder_steps=0,
    clip_steps=0,
    judge_steps=0,
    halved_steps=0,
    unet_steps=0,
    emphasis_steps=20_000,
    vision_steps=0,
    seconds={"emphasis": 1_200},
)


def parts_of(painter: Painter, autoencoder: AutoencoderKL) -> Parts:
    """What a checkpoint holds."""
    return Parts(unet=painter.unet, autoencoder=autoencoder, text_encoder=painter.text_encoder)


@dataclass(frozen=True, kw_only=True)
class Build:
    """One build in one folder. A part is trained, or goes on training, or is only loaded, when it is first asked for.

    begin: what the parts are before they train; None for new ones.  early: where to keep an early checkpoint while the
    U-Net trains; None for nowhere.
    """

    sizes: Sizes
    folder: Path
    shards: int = 2
    device: torch.device = CPU
    begin: Finished | None = None
    early: Path | None = None
    save_seconds: float = 600.0

    def plan(self, name: str, steps: int, rate: float, **more: Any) -> Plan:
        """more: of `muon`, `falling`, `average`, `gentle`, `warmup`."""
        return Plan(
            name=name,
            folder=self.folder,
            steps=steps,
            rate=rate,
            seconds=self.sizes.seconds.get(name, math.inf),
            seed=self.sizes.seed,
            shards=self.shards if self.device == CPU else 1,
            device=self.device,
            save_seconds=self.save_seconds,
            **more,
        )

    @cached_property
    def tokenizer(self) -> CLIPTokenizer:
        return CLIPTokenizer.from_pretrained(TOKENIZER)

    @cached_property
    def gallery(self) -> Gallery:
        sizes = self.sizes
        return Gallery(words=sizes.words, count=sizes.pictures, size=sizes.size, seed=sizes.seed)

    @cached_property
    def pictures(self) -> Bytes:
        return open_pictures(self.gallery, self.folder, self.shards)

    @cached_property
    def texts(self) -> Tensor:
        return open_texts(self.gallery, self.sizes.captions, self.folder, self.shards)

    @cached_property
    def pairs(self) -> Pairs:
        return Pairs(gallery=self.gallery, pictures=self.pictures, tokenizer=self.tokenizer)

    @cached_property
    def first_autoencoder(self) -> AutoencoderKL:
        """Encoder and decoder trained together, with the scaling factor that brings the latents to unit variance."""
        torch.manual_seed(self.sizes.seed)
        model = build_autoencoder(self.sizes.autoencoder, self.sizes.size)
        if self.begin:
            self.begin.fill_autoencoder(model)
        falling = 1.0 if self.begin else 0.3  # what it restores well already is not unlearned at a high rate first
        plan = self.plan("autoencoder", self.sizes.autoencoder_steps, 1e-3, muon=5e-3, falling=falling)
        train_autoencoder(plan, self.sizes.autoencoder, model, self.pictures)
        latents = encode_all(model, self.pictures[:512], device=self.device)
        model.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))
        return model

    @cached_property
    def autoencoder(self) -> AutoencoderKL:
        """The same after the decoder has learned longer."""
        model = build_autoencoder(self.sizes.autoencoder, self.sizes.size)
        model.load_state_dict(self.first_autoencoder.state_dict())
        model.register_to_config(scaling_factor=self.first_autoencoder.config["scaling_factor"])
        if self.sizes.decoder_steps:
            plan = self.plan("decoder", self.sizes.decoder_steps, 1e-3, muon=3e-3)
            train_decoder(plan, self.sizes.autoencoder, model, self.pictures, self.latents)
        return model.eval()

    @cached_property
    def latents(self) -> Tensor:
        """Mean latents of the first pictures, unscaled, float16, (n, 4, h, w)."""
        path = self.folder / "latents.pt"
        if not path.exists():
            log.info("latents: encoding %d pictures", self.sizes.encoded)
            latents = encode_all(self.first_autoencoder, self.pictures[: self.sizes.encoded], device=self.device)
            save_atomically({"latents": latents.half()}, path)
        return torch.load(path, weights_only=True)["latents"]

    @cached_property
    def first_clip(self) -> CLIPModel:
        """Both halves trained together."""
        torch.manual_seed(self.sizes.seed + 1)
        model = self.begin.clip() if self.begin else build_clip(self.sizes.clip, self.sizes.size)
        model.requires_grad_(True)
        train_clip(self.plan("clip", self.sizes.clip_steps, 1e-3), self.sizes.clip, model, self.pictures, self.texts)
        return model.requires_grad_(False)

    @cached_property
    def clip(self) -> CLIPModel:
        """The picture half after it has learned to read the text half as it is since it learned with the U-Net."""
        model = deepcopy(self.first_clip)
        with_text_encoder(model, self.painter.text_encoder)
        model.requires_grad_(True).text_model.requires_grad_(False)
        plan = self.plan("vision", self.sizes.vision_steps, 1e-3, muon=4e-3)
        train_clip(plan, self.sizes.clip, model, self.pictures, self.texts)
        return model.requires_grad_(False)

    @cached_property
    def judge(self) -> Judge:
        torch.manual_seed(self.sizes.seed + 2)
        judge = Judge(slot_words(self.sizes.words))
        if self.begin:
            self.begin.fill_judge(judge)
        plan = self.plan("judge", self.sizes.judge_steps, 2e-3, muon=5e-3, falling=0.3, average=0.99)
        train_judge(plan, self.sizes.judge, judge, self.pairs, self.first_autoencoder)
        judge.figures = judged_figures(judge, self.sizes.judge, self.gallery)
        return judge

    def identity(self, autoencoder: AutoencoderKL) -> IdentityProbe:
        """The identity probe, for pictures that come out of this autoencoder: that of the finished checkpoint."""
        known = lessons(self.sizes.identity, autoencoder, self.sizes.size, self.folder)
        torch.manual_seed(self.sizes.seed + 4)
        probe = IdentityProbe(ANSWERS)
        train_identity(
            self.plan("identity", self.sizes.identity_steps, 2e-3, average=0.99), self.sizes.identity, probe, known
        )
        probe.figures = figures(probe, autoencoder, self.sizes.identity, self.sizes.size)
        return probe

    @cached_property
    def examples(self) -> Examples:
        return Examples(
            gallery=self.gallery,
            latents=self.latents.float() * self.first_autoencoder.config["scaling_factor"],
            worn=self.worn,
            texts=self.texts,
            wearing=torch.tensor([self.tokenizer(word).input_ids[1] for word in WEARING]),
            colours=colours_of(self.gallery, len(self.latents), self.tokenizer),
            sharpening=self.sharpening,
        )

    @cached_property
    def worn(self) -> Tensor:
        return open_worn(self.gallery, len(self.latents), self.latent_side, self.folder, self.shards)

    @cached_property
    def painter(self) -> Painter:
        """U-Net and text encoder. Trained on halved latents first, if there are steps for it, then on whole ones.

        At last they are taught weights.
        """
        sizes, examples = self.sizes, self.examples
        torch.manual_seed(sizes.seed + 3)  # only now: what was asked for above may have been trained just then
        model = self._new_painter()
        if self.begin:
            self.begin.fill_unet(model.unet, self.sharpening)
        elif sizes.halved_steps:
            plan = self._unet_plan("halved", sizes.halved_steps)
            train_unet(plan, sizes.unet.for_halves, model, halved(examples))
        look = EarlyLook(build=self, painter=self._new_painter().eval())
        train_unet(self._unet_plan("unet", sizes.unet_steps), sizes.unet, model, examples, look)
        plan = self.plan("emphasis", sizes.emphasis_steps, 1e-3, falling=0.5, average=0.99, warmup=20, gentle=READ)
        teach_weights(plan, sizes.emphasis, model, examples)
        sharpen(model.unet, self.sharpening)
        return model.requires_grad_(False)

    def _new_painter(self) -> Painter:
        """With the text encoder that `first_clip` gives."""
        unet = build_unet(self.sizes.unet, self.first_clip.config.projection_dim, self.latent_side)
        return Painter(unet, text_encoder_of(self.first_clip))

    def _unet_plan(self, name: str, steps: int) -> Plan:
        falling, average = (0.6, 0.996) if self.begin else (0.4, 0.999)  # onward: fewer steps, and no new ground
        return self.plan(name, steps, 1e-3, muon=4e-3, falling=falling, average=average, gentle=READ)

    @cached_property
    def sharpening(self) -> Tensor:
        """See `starter/unet.py`. On disk, so that a build that goes on uses the very same."""
        path = self.folder / "sharpening.pt"
        if not path.exists():
            encoder = text_encoder_of(self.first_clip)
            save_atomically({"sharpening": sharpening_of(encoder, self.texts[:512, 0])}, path)
        return torch.load(path, weights_only=True)["sharpening"]

    @property
    def latent_side(self) -> int:
        return self.sizes.size // self.sizes.autoencoder.factor


@dataclass(frozen=True, kw_only=True)
class EarlyLook:
    """After each checkpoint of the U-Net: a sheet of samples, and a checkpoint that others can try.

    painter: a copy to fill.
    """

    build: Build
    painter: Painter

    def __call__(self, average: Average, step: int) -> None:
        self.painter.load_state_dict(average.weights, strict=False)
        sharpen(self.painter.unet, self.build.sharpening)
        parts = parts_of(self.painter, self.build.first_autoencoder)
        prompts = [full_caption(spec) for spec in SHOWN]
        count = len(prompts)
        recipe = Recipe(size=self.build.sizes.size, batch=count)
        drawn = generate(parts.built(), prompts, list(range(count)), recipe)
        sheet([drawn[: count // 2], drawn[count // 2 :]], 2).save(self.build.folder / f"sheet-{step:06d}.png")
        if self.build.early:
            note = {"note": f"unfinished: step {step} of {self.build.sizes.unet_steps}"}
            export_checkpoint(parts, self.build.early, note, np.array(self.build.pictures[:32]))
