"""Our training beside the same computation as diffusers' `train_dreambooth.py` does it: steps a second, and the loss.

    python benchmarks/training.py [--busy] [--pairs 7] [--steps 4] [--losses 30]
    python benchmarks/training.py --big --device cuda --precision bf16

DreamBooth with prior preservation, batch 1 + 1, the U-Net learns, AdamW. Ours is the whole loop as the engine runs it:
cached posteriors and texts, a fresh draw from the posterior at each step, numbers and their finiteness after it. Peer:
`as_train_dreambooth.py`. Blocks of steps in turns in the same run. The losses are compared in a second run from the same
weights in which the peer is given the same draws: --losses steps. --busy is for a machine that does other things too.
Without --big on the starter model; with it on a checkpoint of Stable Diffusion 1.5's size with random weights (written
once into --folder), at 512 pixels.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import torch
from as_pipeline import STARTER
from as_train_dreambooth import Draws, TrainDreambooth
from comparing import compare, heading
from torch import Tensor

from modules.core.training import TrainingPlan
from modules.families import random_weights
from modules.families.built import BuildOptions, Built
from modules.families.kinds.sd15 import build
from modules.prompts.tokens import Tokenizer
from modules.starter.spec import Spec
from modules.starter.world import draw
from modules.training.batch import Batch
from modules.training.chance import Purpose, generator, rows
from modules.training.dataset import Data, Example, examples
from modules.training.latents import tensor_of
from modules.training.loop import begin, train
from modules.training.methods import dreambooth
from modules.training.objective import Levels, drawn
from modules.training.order import Order, shown

GOAL = 1.35
PICTURES, CLASS_PICTURES = 4, 8
LOSS_GOAL = 0.01


def pictures(count: int, identity: int, side: int) -> list[bytes]:
    """PNG files of the starter's world: a marked brown dog in three places, or dogs like others."""
    found = []
    for number in range(count):
        place = ("on the grass", "in the snow", "on the beach")[number % 3]
        image, _ = draw(Spec(subject="dog", colour="brown", place=place, identity=identity), 100 + number, side)
        file = io.BytesIO()
        image.save(file, "PNG")
        found.append(file.getvalue())
    return found


class Setting:
    """What both sides train with."""

    def __init__(self, path: Path, side: int, given: argparse.Namespace) -> None:
        self.path, self.device, self.busy = path, torch.device(given.device), given.busy
        self.plan = TrainingPlan(
            method="dreambooth",
            model="starter",
            instance_prompt="a photo of sks dog",
            class_prompt="a photo of dog",
            with_prior_preservation=True,
            pictures=("a",) * PICTURES,
            max_train_steps=10**6,
            learning_rate=given.rate,
            mixed_precision=given.precision,
            resolution=side,
            seed=1,
        )
        self.instance = examples(pictures(PICTURES, 1, side), self.plan, side, 8)
        self.prior = examples(pictures(CLASS_PICTURES, 0, side), self.plan, side, 8, prior=True)

    def model(self) -> Built:
        """A fresh one in float32."""
        return build(self.path, BuildOptions(device=self.device, half=False))

    def waited(self) -> float:
        """The time when the device has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.process_time() if self.busy else time.perf_counter()


class Ours:
    """Our loop, a block of steps at a time."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.model = setting, setting.model()
        plan = setting.plan
        self.block = dreambooth.prepare(self.model, plan)
        self.learner = self.block.__enter__()
        tokenizer = Tokenizer(self.model.tokenizer_folder)
        self.batches = Data(self.model, self.learner, plan, tokenizer, setting.instance, setting.prior)
        self.batches.prepare()
        self.position = begin(self.learner, plan, self.model.device)

    def steps(self, count: int) -> list[float]:
        """So many steps; gives their losses."""
        told: list[float] = []

        def hear(numbers: object, _: object) -> bool:
            told.append(numbers.loss)  # pyright: ignore[reportAttributeAccessIssue]
            return len(told) == count

        train(self.model, self.learner, self.setting.plan, self.batches, self.position, hear)
        return told


class Peer:
    """Theirs, with the pictures in our order."""

    def __init__(self, setting: Setting, alike: bool) -> None:
        self.setting, self.alike, self.done = setting, alike, 0
        self.script = TrainDreambooth(setting.model(), setting.plan)
        self.levels = Levels.of(self.script.model.sigmas, setting.device)
        self.order = Order([one.size for one in setting.instance], 1, setting.plan.seed)

    def steps(self, count: int) -> list[float]:
        """So many steps; gives their losses."""
        return [self._step() for _ in range(count)]

    def _step(self) -> float:
        plan, number = self.setting.plan, self.done
        self.done += 1
        chosen = self.order.rows(number)
        beside = shown(len(self.setting.prior), chosen.before, 1, plan.seed, Purpose.ORDER + Purpose.PRIOR)
        found: list[Example] = [self.setting.instance[chosen.pictures[0]], self.setting.prior[next(iter(beside))]]
        pixels = torch.cat([tensor_of(one.pixels) for one in found])
        ids = self.script.ids([one.caption for one in found])
        return self.script.step(pixels, ids, self._draws(number) if self.alike else None)

    def _draws(self, number: int) -> Callable[[Tensor], Draws]:
        """What our loop draws for this step."""
        plan = self.setting.plan

        def drawn_for(mean: Tensor) -> Draws:
            chances = [generator(plan.seed, number, 0, Purpose.LATENTS + half) for half in (0, Purpose.PRIOR)]
            latents = torch.stack([torch.randn(mean.shape[1:], generator=one) for one in chances]).to(mean)
            batch = Batch(latents=mean.float(), text=mean, priors=1)
            noise, timesteps = drawn(plan, batch, number, rows(plan, 0), self.levels)
            return Draws(latents=latents, noise=noise.to(mean), timesteps=timesteps)

        return drawn_for


def measure(setting: Setting, given: argparse.Namespace, name: str) -> None:
    """The table's row, the steps a second, and the two loss curves."""
    ours, peer = Ours(setting), Peer(setting, alike=False)

    def block(side: Ours | Peer) -> Callable[[], float]:
        def seconds() -> float:
            began = setting.waited()
            side.steps(given.steps)
            return setting.waited() - began

        return seconds

    print(heading())
    found = compare(name, 1 / GOAL, block(ours), block(peer), given.pairs)
    print(found.row())
    speeds = [given.steps / statistics.median(each) for each in (found.ours, found.peers)]
    print(
        f"\n{speeds[0]:.3f} steps/s beside {speeds[1]:.3f}: {1 / found.ratio:.3f} times as many "
        f"({1 / found.interval[1]:.3f} to {1 / found.interval[0]:.3f}; goal ≥ {GOAL})"
    )
    del ours, peer
    compare_losses(setting, given.losses)


def compare_losses(setting: Setting, count: int) -> None:
    """Both from the same weights with the same draws."""
    ours, theirs = Ours(setting).steps(count), Peer(setting, alike=True).steps(count)
    means = statistics.fmean(ours), statistics.fmean(theirs)
    apart = max(abs(one - other) / other for one, other in zip(ours, theirs, strict=True))
    print(
        f"mean loss of {count} steps {means[0]:.6f} beside {means[1]:.6f}: {means[0] / means[1] - 1:+.4%} "
        f"(goal within {LOSS_GOAL:.0%}); the two curves are {apart:.4%} apart at most"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--big", action="store_true", help="Stable Diffusion 1.5's size; 30 GB of memory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="no", choices=("no", "bf16"))
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="in each block")
    parser.add_argument("--losses", type=int, default=30, help="steps of the second run")
    parser.add_argument("--rate", type=float, default=1e-5, help="learning rate")
    parser.add_argument("--busy", action="store_true", help="count seconds of the processor, in one thread")
    parser.add_argument("--folder", type=Path, help="where the big checkpoint is, or is written")
    given = parser.parse_args()
    if given.busy:
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        path, side = STARTER, 128
        if given.big:
            path, side = (given.folder or Path(temporary)) / "big.safetensors", 512
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                random_weights.write(path, random_weights.full(), seed=0)
        measure(Setting(path, side, given), given, f"{path.stem} {side}x{side}, {given.device}, {given.precision}")


if __name__ == "__main__":
    main()
