"""Textual inversion: Gal et al. 2022, arXiv:2208.01618, §4.1. Only the vectors learn that stand in place of a word.

They are parameters of their own behind the table of token embeddings, never rows of it: nothing else can drift, and
nothing has to be put back.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from modules.core.errors import InvalidRequest, Problem
from modules.core.extension_points import TrainingMethod, hookimpl
from modules.core.training import TrainingPlan
from modules.prompts.tokens import Tokenizer
from modules.training.embedding_files import named
from modules.training.held import EMBEDDING_GROUP, held, parts_by_name
from modules.training.initial import initial_rows, initial_tokens
from modules.training.learner import Exported, Learner, Model, ParameterGroup

LEARNING_RATE = 5e-3
SUFFIXES = {"embedding": ".safetensors", "pt": ".pt"}


@contextmanager
def prepare(model: Model, plan: TrainingPlan) -> Iterator[Learner]:
    """While inside, `Learner.vectors` are what stands for the word `plan.name`; the model itself never changes.

    Raises InvalidRequest when there is no name.
    """
    if not plan.name.strip():
        raise InvalidRequest(Problem(field="name", message="Give the embedding a name: prompts will call it by that."))
    tables = beginning(model, plan)
    group = ParameterGroup(
        name=EMBEDDING_GROUP, parameters=list(tables.values()), learning_rate=plan.learning_rate or LEARNING_RATE
    )
    with held(model, plan):
        yield Learner(
            groups=(group,),
            named={f"embedding.{encoder}": one for encoder, one in tables.items()},
            export=partial(_export, tables),
            vectors={plan.name: tables},
            reads=True,
        )


def beginning(model: Model, plan: TrainingPlan) -> dict[str, nn.Parameter]:
    """(v, d), float32, for each text encoder by its name in embedding files."""
    tokens = initial_tokens(plan, _tokenizer(model.tokenizer_folder))
    found: dict[str, nn.Parameter] = {}
    for encoder, part in parts_by_name(model).items():
        table = getattr(model, part).get_input_embeddings().weight
        # also inside torch's inference mode, in which nothing could learn
        with torch.inference_mode(mode=False):
            found[encoder] = nn.Parameter(initial_rows(table, tokens, plan.num_vectors).clone())
    return found


@cache
def _tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(folder)


def _export(tables: Mapping[str, Tensor], format: str, _number: torch.dtype) -> list[Exported]:
    return [Exported(kind="embedding", format=format, tensors=named(tables), suffix=SUFFIXES[format])]


@hookimpl
def register_training_methods() -> list[TrainingMethod]:
    return [
        TrainingMethod(
            name="textual_inversion",
            label="Textual inversion (a word of its own)",
            prepare=prepare,
            formats=tuple(SUFFIXES),
            learning_rate=LEARNING_RATE,
            note="A file of a few kilobytes. It can only say what the model can already draw.",
            aliases=("embedding", "ti"),
        )
    ]
