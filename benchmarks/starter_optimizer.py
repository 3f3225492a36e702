"""Muon beside AdamW on the starter's autoencoder: how many crops, and how much time, each needs for the same PSNR.

    python benchmarks/starter_optimizer.py [--steps 400] [--every 50] [--pictures 3000] [--rate 1.5e-3] [--muon 5e-3]

Both start from the same weights and see the same crops in the same order, a block of steps in turns; after each block the
PSNR of 48 pictures that neither learns from. Time is the process's, one thread. The rate stays what it is: a rate that
falls towards the end would hide which one is further in the middle. The result is the ratio, AdamW to Muon, at the PSNR
that AdamW ends with.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import numpy as np
import torch
from comparing import heading

from modules.starter.autoencoder import AutoencoderShape, autoencoder_loss, build_autoencoder, psnr, restore
from modules.starter.evaluate import drawn_of, exam_specs
from modules.starter.loop import Plan, train
from modules.starter.pictures import Bytes, Gallery
from modules.starter.world import FULL

SHAPE = AutoencoderShape(channels=(32, 48, 64, 96), batch=16)


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where an arm is after some steps: crops seen, seconds of the process, dB."""

    crops: int
    seconds: float
    psnr: float


@dataclass(kw_only=True)
class Arm:
    """One way to train; it goes on where it was."""

    plan: Plan
    points: list[Point] = field(default_factory=list)

    def go_on(self, steps: int, pictures: Bytes, unseen: Bytes) -> Point:
        torch.manual_seed(1)
        model = build_autoencoder(SHAPE, pictures.shape[1]).to(memory_format=torch.channels_last)
        began = time.process_time()
        train(replace(self.plan, steps=steps), model, autoencoder_loss(SHAPE, model, torch.from_numpy(pictures)))
        spent = time.process_time() - began + (self.points[-1].seconds if self.points else 0)
        found = psnr(restore(model, unseen), unseen)
        self.points.append(Point(crops=steps * SHAPE.batch, seconds=spent, psnr=found))
        return self.points[-1]

    def needs(self, psnr: float) -> tuple[float, float]:
        """Crops and seconds until this PSNR, between the points; NaN if it was never reached."""
        levels = np.maximum.accumulate([point.psnr for point in self.points])
        if psnr > levels[-1]:
            return float("nan"), float("nan")
        crops, seconds = ([getattr(point, name) for point in self.points] for name in ("crops", "seconds"))
        return float(np.interp(psnr, levels, crops)), float(np.interp(psnr, levels, seconds))


def main() -> None:
    given = _options()
    torch.set_num_threads(1)
    print(heading().splitlines()[0])
    gallery = Gallery(words=FULL, count=given.pictures, size=128)
    pictures = np.stack([gallery.picture(n) for n in range(given.pictures)])
    unseen = drawn_of(exam_specs(FULL, 48, held_out=False), 128)
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(name="adamw", folder=Path(folder), steps=0, rate=given.rate, falling=0.0, average=0.9)
        arms = {"AdamW": Arm(plan=plan), "Muon": Arm(plan=replace(plan, name="muon", muon=given.muon))}
        print("\n| crops | AdamW, dB | s | Muon, dB | s |\n|---|---|---|---|---|")
        for steps in range(given.every, given.steps + 1, given.every):
            adam, muon = (arm.go_on(steps, pictures, unseen) for arm in arms.values())
            print(
                f"| {adam.crops} | {adam.psnr:.2f} | {adam.seconds:.0f} | {muon.psnr:.2f} | {muon.seconds:.0f} |",
                flush=True,
            )
    last = max(point.psnr for point in arms["AdamW"].points)
    (crops, seconds), (fewer, sooner) = (arm.needs(last) for arm in arms.values())
    print(f"\nfor {last:.2f} dB: crops {crops / fewer:.2f}x, seconds {seconds / sooner:.2f}x (AdamW to Muon)")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400, help="of 16 crops")
    parser.add_argument("--every", type=int, default=50, help="steps between two measurements")
    parser.add_argument("--pictures", type=int, default=3000, help="drawn to learn from")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="of AdamW, in both arms")
    parser.add_argument("--muon", type=float, default=5e-3, help="of Muon")
    return parser.parse_args()


if __name__ == "__main__":
    main()
