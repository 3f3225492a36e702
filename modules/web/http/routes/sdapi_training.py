"""`/sdapi/v1`: the field's addresses for training. Answers and errors are a sentence in `info`, with status 200.

An embedding is created and trained; hypernetworks are not: a LoRA does what they do, better.
"""

import re
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from modules.core.errors import AtelierError, InvalidOption
from modules.core.extension_points import Routes, hookimpl
from modules.core.training import TrainingPlan
from modules.services.studio import Studio
from modules.services.training.embedding import INIT_TEXT, MOST_VECTORS, write_embedding
from modules.services.training.picture_folder import FolderImport
from modules.services.training.publish import checked_name
from modules.services.training.runs import Run
from modules.storage.records import Job
from modules.web.http.limits import new_router
from modules.web.http.people import Owner
from modules.web.http.routes.sdapi_generate import ended

NO_HYPERNETWORKS = "hypernetworks are not trained here; train a LoRA instead: the Train tab, or POST /api/v1/training"
NUMBER = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)")
Name = Annotated[str, Field(max_length=1_000)]


class Created(BaseModel):
    """What the field's clients send for a new embedding; other keys are of no concern."""

    model_config = ConfigDict(extra="ignore")

    name: Name = ""
    num_vectors_per_token: Annotated[int, Field(ge=1, le=MOST_VECTORS)] = 1
    overwrite_old: bool = False
    init_text: Name = "*"


class Trained(BaseModel):
    """What the field's clients send to train one. `learn_rate` may be a schedule, "0.005:100, 1e-3:1000": its first counts."""

    model_config = ConfigDict(extra="ignore")

    embedding_name: Name = ""
    learn_rate: float | Name = "0.005"
    batch_size: int = 1
    gradient_step: int = 1
    data_root: Annotated[str, Field(max_length=4_000)] = ""
    training_width: int = 0
    training_height: int = 0
    varsize: bool = False
    steps: int = 1_000
    clip_grad_mode: Name = "disabled"
    clip_grad_value: float | Name = 1.0
    shuffle_tags: bool = False
    tag_drop_out: float = 0.0
    latent_sampling_method: Name = "once"
    use_weight: bool = False
    create_image_every: int = 0
    save_embedding_every: int = 0
    preview_prompt: Annotated[str, Field(max_length=2_000)] = ""


@hookimpl
def register_routes() -> list[Routes]:
    """With --api or --nowebui."""
    return [Routes(name="sdapi training", build=build, api=True)]


def build(studio: Studio) -> APIRouter:
    """The routes."""
    router = new_router("/sdapi/v1")

    @router.post("/create/embedding", operation_id="create-embedding")
    def create_embedding(asked: Created) -> dict[str, str]:
        """A new embedding file that begins from the vectors of `init_text` in the model that draws now."""
        try:
            return {"info": f"create embedding filename: {_created(studio, asked)}"}
        except AtelierError as error:
            return {"info": f"create embedding error: {error}"}

    @router.post("/train/embedding", operation_id="train-embedding")
    async def train_embedding(asked: Trained, owner: Owner) -> dict[str, str]:
        """Train an embedding with the pictures of a folder on the server; answers when that has ended.

        `/api/v1/training` does the same without keeping a connection open.
        """
        try:
            run = await run_in_threadpool(_begun, studio, asked, owner)
            return {"info": f"train embedding complete: filename: {_made(await ended(studio, run.job.id))} error: None"}
        except AtelierError as error:
            return {"info": f"train embedding error: {error}"}

    for work in ("create", "train"):
        _refuse(router, work)
    return router


def _refuse(router: APIRouter, work: str) -> None:
    def told(asked: dict[str, Any]) -> dict[str, str]:
        """Not here; a LoRA instead."""
        return {"info": f"{work} hypernetwork error: {NO_HYPERNETWORKS}"}

    path = f"{work}/hypernetwork"
    router.add_api_route(f"/{path}", told, methods=["POST"], name=path, operation_id=path.replace("/", "-"))


def _created(studio: Studio, asked: Created) -> str:
    name = checked_name(asked.name)
    if not name:
        raise InvalidOption("the embedding needs a name")
    text = asked.init_text.strip() or "*"
    target = studio.places.folders("embedding")[0] / f"{name}.safetensors"
    if target.exists() and not asked.overwrite_old:
        raise InvalidOption(f"there is an embedding {name!r} already; choose another name, or set overwrite_old")
    tokens = studio.tokens.tokenizer.encode(text)
    write_embedding(target, studio.desk.current_model(), tokens, asked.num_vectors_per_token, text)
    studio.shelf.refresh()
    return str(target)


def _begun(studio: Studio, asked: Trained, owner: str) -> Run:
    record = studio.shelf.find("embedding", asked.embedding_name)
    imported = FolderImport(studio.inputs, studio.places, studio.flags).read(asked.data_root)
    plan = TrainingPlan(
        method="textual_inversion",
        name=record.name,
        num_vectors=studio.shelf.vectors().get(record.name, 1),
        initializer_token=_begins_with(studio, record.path),
        pictures=tuple(one.id for one in imported.pictures),
        names=tuple(one.name for one in imported.pictures),
        captions=tuple(one.caption for one in imported.pictures),
        folder=asked.data_root,
        **_numbers(asked),
    )
    return studio.trainings.begin(plan, owner)


def _made(job: Job) -> str:
    """The file's name."""
    if job.state != "done":
        raise InvalidOption(job.sentence or f"the training was {job.state}")
    return job.result.partition("\n")[0]


def _begins_with(studio: Studio, path: str) -> str:
    """The words that a file of ours was made from."""
    record = next((one for one in studio.shelf.files("embedding") if one.path == path), None)
    header = studio.shelf.header(record) if record else None
    text = header.metadata.get(INIT_TEXT, "") if header else ""
    return "" if text == "*" else text


def _numbers(asked: Trained) -> dict[str, Any]:
    """The fields of a plan. Raises InvalidOption for what would change the result and is not there."""
    for name in ("varsize", "use_weight", "tag_drop_out"):
        if getattr(asked, name):
            raise InvalidOption(f"{name} is not available here; leave it out")
    if asked.clip_grad_mode not in ("disabled", "norm", "None", ""):
        raise InvalidOption(f"clip_grad_mode is {asked.clip_grad_mode[:80]!r}; known are disabled and norm")
    sides = [side for side in (asked.training_width, asked.training_height) if side > 0]
    return {
        "learning_rate": _first_number(asked.learn_rate),
        "train_batch_size": asked.batch_size,
        "gradient_accumulation_steps": asked.gradient_step,
        "max_train_steps": asked.steps,
        "resolution": min(sides) // 8 * 8 if sides else 0,
        "shuffle_caption": asked.shuffle_tags,
        "latent_sampling": "random" if asked.latent_sampling_method == "random" else "deterministic",
        "max_grad_norm": _first_number(asked.clip_grad_value) if asked.clip_grad_mode == "norm" else 0.0,
        "preview_every": asked.create_image_every if asked.create_image_every > 0 else -1,
        "save_every": max(0, asked.save_embedding_every),
        "preview_prompts": (asked.preview_prompt,) if asked.preview_prompt else (),
    }


def _first_number(value: float | str) -> float:
    found = NUMBER.match(str(value))
    if found is None:
        raise InvalidOption(f"{str(value)[:80]!r} is no number")
    return float(found[1])
