"""Builds the starter model: `python -m modules.starter.build`. May be stopped at any time; the same command goes on.

Nobody has to run it: the result is in the repository. It takes about two hours on two CPU cores.
"""

import argparse
import json
import logging
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from modules.families.built import TOKENIZER, BuildOptions
from modules.families.checkpoint import build as build_checkpoint
from modules.families.clip_vision import load_clip
from modules.families.judge import load_judge, save_identity, save_judge
from modules.starter.drawing import Recipe, generate, sheet
from modules.starter.evaluate import Exam, examine
from modules.starter.example import write_example
from modules.starter.export import (
    about_checkpoint,
    export_checkpoint,
    export_clip,
)
from modules.starter.recipe import FULL_SIZES, SHOWN, Build, Sizes
from modules.starter.tokenizer import write_tokenizer
from modules.starter.world import draw, full_caption

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "models" / "Stable-diffusion" / "starter.safetensors"
JUDGES = ROOT / "models" / "starter"
EXAMPLE = JUDGES / "example"
SAMPLES = ROOT / "docs" / "images" / "starter-samples.png"
STAGES = (
    "tokenizer",
    "pictures",
    "autoencoder",
    "clip",
    "latents",
    "judge",
    "unet",
    "decoder",
    "export",
    "identity",
    "example",
    "evaluate",
)


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads if options.stage == "evaluate" else 1)
    sizes = FULL_SIZES if options.full else Sizes()
    build = Build(sizes=sizes, folder=options.work, shards=options.threads, early=CHECKPOINT if options.early else None)
    options.work.mkdir(parents=True, exist_ok=True)
    for stage in [options.stage] if options.stage else STAGES:
        run_stage(stage, build, options.prompts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, help="only this stage; default: all, in order")
    parser.add_argument("--evaluate", dest="stage", action="store_const", const="evaluate", help="only measure")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "outputs" / "starter-build", help="folder for unfinished parts"
    )
    parser.add_argument("--full", action="store_true", help="the whole word list; give it a --work folder of its own")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="shards of each training step")
    parser.add_argument("--prompts", type=int, default=500, help="how many prompts to evaluate with")
    parser.add_argument("--early", action="store_true", help="write an early checkpoint each time the U-Net is saved")
    return parser.parse_args()


def run_stage(stage: str, build: Build, prompts: int = 500) -> None:
    """Bring one stage to its end. What it needs of earlier stages is loaded, or trained first."""
    if stage == "tokenizer":
        if not (TOKENIZER / "tokenizer.json").exists():
            write_tokenizer(TOKENIZER)
    elif stage == "export":
        export(build, CHECKPOINT, JUDGES)
    elif stage == "identity":
        export_identity(build, CHECKPOINT, JUDGES)
    elif stage == "example":
        write_example(EXAMPLE)
    elif stage == "evaluate":
        evaluate(build, CHECKPOINT, JUDGES, prompts)
    else:
        getattr(build, {"autoencoder": "first_autoencoder", "decoder": "autoencoder"}.get(stage, stage))


def export(build: Build, checkpoint: Path, judges: Path) -> None:
    """Write the checkpoint, the judge and CLIP's picture half."""
    sizes = build.sizes
    figures = {
        "seed": str(sizes.seed),
        "steps": json.dumps(
            {name: getattr(sizes, f"{name}_steps") for name in ("autoencoder", "decoder", "clip", "unet")}
        ),
        "versions": json.dumps({name: version(name) for name in ("torch", "diffusers", "transformers", "pillow")}),
    }
    about = about_checkpoint(sizes.size, figures)
    export_checkpoint(build.parts(build.unet, build.autoencoder), checkpoint, about, np.array(build.pictures[:64]))
    save_judge(build.judge, judges / "judge.safetensors")
    export_clip(build.clip, judges / "clip_vision.safetensors")


def export_identity(build: Build, checkpoint: Path, judges: Path) -> None:
    """Write the identity probe, which needs the finished autoencoder and nothing else of the build."""
    model = build_checkpoint(checkpoint, BuildOptions(half=False), family="Stable Diffusion 1.x")
    probe = build.identity(model.vae.requires_grad_(False))
    save_identity(probe, judges / "identity.safetensors")
    log.info("identity probe: %s", json.dumps(probe.figures))


def evaluate(build: Build, checkpoint: Path, judges: Path, count: int = 500) -> None:
    """Print the figures of the exported files, and write a sheet of samples: drawn pictures over generated ones."""
    model = build_checkpoint(checkpoint, BuildOptions(half=False), family="Stable Diffusion 1.x")
    exam = Exam(
        model=model,
        judge=load_judge(judges / "judge.safetensors"),
        clip=load_clip(judges / "clip_vision.safetensors", model.text_encoder),
        tokenizer=build.tokenizer,
        words=build.sizes.words,
        count=count,
        recipe=Recipe(size=build.sizes.size),
    )
    figures = examine(exam)
    log.info("prompt following, %d prompts, DPM++ 2M Karras, 20 steps, CFG 5:\n%s", count, figures.table())
    line = "demo prompt %.2f of 25 pictures right in every slot; autoencoder %.2f dB; CLIP ranks %.2f of 100 first"
    log.info(line, figures.demo, figures.psnr, figures.ranking)
    write_samples(exam, SAMPLES)


def write_samples(exam: Exam, path: Path) -> None:
    """First row: drawn by the world. Below: generated from the same words, two seeds."""
    prompts = [full_caption(spec) for spec in SHOWN]
    drawn = np.stack([np.asarray(draw(spec, n)[0]) for n, spec in enumerate(SHOWN)])
    rows = [generate(exam.model, exam.tokenizer, prompts, [seed] * len(prompts), exam.recipe) for seed in (1, 2)]
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet([drawn, *rows]).save(path)


if __name__ == "__main__":
    main()
