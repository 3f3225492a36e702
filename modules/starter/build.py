"""Builds the starter model: `python -m modules.starter.build`. May be stopped at any time; the same command goes on.

Nobody has to run it: the result is in the repository. It takes hours on two CPU cores.
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
from modules.starter.drawing import Recipe
from modules.starter.evaluate import Exam, examine
from modules.starter.example import write_example
from modules.starter.export import (
    about_checkpoint,
    export_checkpoint,
    export_clip,
)
from modules.starter.judge import world_of
from modules.starter.loop import taken
from modules.starter.onward import Finished
from modules.starter.recipe import LARGE, ONWARD, Build, Sizes, parts_of
from modules.starter.sheets import write_preview, write_sheets
from modules.starter.tokenizer import write_tokenizer

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "models" / "Stable-diffusion" / "starter.safetensors"
JUDGES = ROOT / "models" / "starter"
EXAMPLE = JUDGES / "example"
SHEETS = ROOT / "docs" / "images"
STAGES = (
    "tokenizer",
    "pictures",
    "texts",
    "autoencoder",
    "clip",
    "latents",
    "judge",
    "unet",
    "vision",
    "decoder",
    "export",
    "identity",
    "example",
    "evaluate",
)


PROPERTIES = {  # what a stage asks the build for, where it has another name
    "autoencoder": "first_autoencoder",
    "decoder": "autoencoder",
    "clip": "first_clip",
    "vision": "clip",
    "unet": "painter",
}


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads if options.stage == "evaluate" else 1)
    build = Build(
        sizes=options.sizes,
        folder=options.work,
        shards=options.threads,
        device=torch.device(options.device),
        begin=Finished(checkpoint=CHECKPOINT, judges=JUDGES) if options.sizes is ONWARD else None,
        early=CHECKPOINT if options.early else None,
    )
    options.work.mkdir(parents=True, exist_ok=True)
    for stage in [options.stage] if options.stage else STAGES:
        run_stage(stage, build, options.prompts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, help="only this stage; default: all, in order")
    parser.add_argument("--evaluate", dest="stage", action="store_const", const="evaluate", help="only measure")
    parser.add_argument("--work", type=Path, help="folder for unfinished parts")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--large", dest="sizes", action="store_const", const=LARGE, help="the sizes for a data-centre GPU"
    )
    sizes.add_argument(
        "--onward",
        dest="sizes",
        action="store_const",
        const=ONWARD,
        help="go on from the model in the repository",
    )
    parser.set_defaults(sizes=Sizes())
    parser.add_argument(
        "--threads",
        type=int,
        default=min(2, os.cpu_count() or 1),
        help="shards of a step on the CPU; drawing processes",
    )
    parser.add_argument("--prompts", type=int, default=1000, help="how many prompts to evaluate with")
    parser.add_argument("--early", action="store_true", help="write an early checkpoint each time the U-Net is saved")
    options = parser.parse_args()
    name = "starter-onward" if options.sizes is ONWARD else "starter-build"  # one's checkpoints are not the other's
    options.work = options.work or ROOT / "outputs" / name
    return options


def run_stage(stage: str, build: Build, prompts: int = 1000) -> None:
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
        getattr(build, PROPERTIES.get(stage, stage))


def export(build: Build, checkpoint: Path, judges: Path) -> None:
    """Write the checkpoint, the judge and CLIP's picture half."""
    sizes = build.sizes
    parts = parts_of(build.painter, build.autoencoder)
    figures = {
        "seed": str(sizes.seed),
        "steps": json.dumps(taken(build.folder)),
        "began": "from a finished model" if build.begin else "from nothing",
        "versions": json.dumps({name: version(name) for name in ("torch", "diffusers", "transformers", "pillow")}),
    }
    about = about_checkpoint(sizes.size, figures)
    export_checkpoint(parts, checkpoint, about, np.array(build.pictures[:64]))
    save_judge(build.judge, judges / "judge.safetensors")
    export_clip(build.clip, judges / "clip_vision.safetensors")


def export_identity(build: Build, checkpoint: Path, judges: Path) -> None:
    """Write the identity probe, which needs the finished autoencoder and nothing else of the build."""
    model = build_checkpoint(checkpoint, BuildOptions(half=False), family="Stable Diffusion 1.x")
    probe = build.identity(model.vae.requires_grad_(False))
    save_identity(probe, judges / "identity.safetensors")
    log.info("identity probe: %s", json.dumps(probe.figures))


def evaluate(build: Build, checkpoint: Path, judges: Path, count: int = 1000) -> None:
    """Print the figures of the exported files, and write the sheets of samples and the preview."""
    model = build_checkpoint(checkpoint, BuildOptions(half=False), family="Stable Diffusion 1.x")
    judge = load_judge(judges / "judge.safetensors")
    exam = Exam(
        model=model,
        judge=judge,
        clip=load_clip(judges / "clip_vision.safetensors", model.text_encoder),
        tokenizer=build.tokenizer,
        words=world_of(judge),
        count=count,
        recipe=Recipe(size=build.sizes.size),
    )
    figures = examine(exam)
    log.info("prompt following, %d prompts, DPM++ 2M Karras, 20 steps, CFG 5:\n\n%s\n", count, figures.table())
    line = "demo prompt %.2f of 25 pictures right in every slot; autoencoder %.2f dB; CLIP ranks %.2f of 100 first"
    log.info(line, figures.demo, figures.psnr, figures.ranking)
    log.info("what single words do:\n\n%s\n", figures.effects())
    write_sheets(model, exam.recipe, SHEETS)
    write_preview(model, exam.recipe, checkpoint.with_suffix(".preview.png"))


if __name__ == "__main__":
    main()
