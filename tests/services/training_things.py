"""What the tests of trainings share: the stand-in that trains, a plan for it."""

import importlib.util
import sys
from pathlib import Path

from modules.core.training import TrainingPlan

TINY_TRAINER = (sys.executable, str(Path(__file__).with_name("tiny_trainer.py")))
SPEC = importlib.util.spec_from_file_location("tiny_engine", Path(__file__).with_name("tiny_engine.py"))
tiny_engine = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tiny_engine)


def picture(studio, number: int = 0) -> str:
    """A stored picture of one colour."""
    return studio.inputs.keep(tiny_engine.png(number, 64, 64))


def plan_for(studio, **fields) -> TrainingPlan:
    """A short training of three pictures that are there."""
    known = {"name": "mycat", "class_noun": "cat", "identifier": "sks", "seed": 3, "max_train_steps": 30}
    if "pictures" not in fields:
        known["pictures"] = tuple(picture(studio, number) for number in range(3))
    return TrainingPlan(**(known | fields))


def trainer(studio):
    """The state of the engine that trains."""
    return studio.engines.states()[-1]
