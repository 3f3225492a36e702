"""The door: every hook, and the small frozen dataclass each hook returns. Built-ins come through it too.

A plugin is a module with functions marked `@hookimpl`, named as below, taking any subset of the hook's arguments:

    from modules.core.extension_points import Sampler, hookimpl

    @hookimpl
    def register_samplers():
        return [Sampler(name="Mine", sample=mine)]

Tensors are `Any` here because level 0 knows no torch. Shapes: b batch, c channels, h w latent height and width,
n steps, t tokens, d width.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pluggy

from modules.core.events import Progress
from modules.core.requests import ImageRequest, ModelRecord
from modules.core.settings import Setting
from modules.core.training import TrainingNumbers

hookspec = pluggy.HookspecMarker("atelier")
hookimpl = pluggy.HookimplMarker("atelier")

Tensor = Any

# What plugins return, engine side ---------------------------------------------------------------------------------------


class Denoise(Protocol):
    """The network seen as D(x, sigma), guidance included: (b, c, h, w) float32 and a float -> (b, c, h, w)."""

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor: ...


class OnStep(Protocol):
    """Called after each step with its 0-based number; reports progress and raises Cancelled or Skipped."""

    def __call__(self, step: int, x: Tensor, denoised: Tensor, /) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """An algorithm that goes from noise to latents.

    `sample(denoise, x, sigmas, on_step, **options) -> x`: x is (b, c, h, w) float32, at the noise level sigmas[0] in the
    variance-exploding form (clean latents + sigma * unit noise); `sigmas` is a list of n + 1 Python floats, falling,
    the last one 0. It must call `on_step` once for each of the n steps.
    `options` names the keyword arguments it takes beside: "noise" (a function () -> (b, c, h, w) unit noise, each
    picture's own), "brownian" (a function (sigma, sigma_next) -> (b, c, h, w) unit noise of a Brownian path), "eta",
    "s_churn", "s_tmin", "s_tmax", "s_noise" (floats), "unipc_order" (int), "table" (the model's noise levels).
    `order`: denoiser calls per step. `schedule`: what Automatic means for it. `ensd`: draws its noise after the first
    from seed + ENSD. `discards`: leaves out the last level but one. `alone`: takes its steps by what it finds in the
    latents, so that a picture would depend on its neighbours: it gets one picture at a time. `table(sigmas) -> sigmas`:
    which of the model's noise levels its schedules are made of.
    `levels(steps, table, last=None) -> sigmas` is for samplers of the variance-preserving kind (DDIM), which visit
    training timesteps of their own whatever schedule is chosen (with `last`, only that many of the last: for work on
    pictures); they start from noise * √(1 + sigma²) instead of noise * sigma,
    may end above 0, and their result is divided by √(1 + sigma²) of the last level.
    """

    name: str
    sample: Callable[..., Tensor]
    aliases: tuple[str, ...] = ()
    order: int = 1
    schedule: str = "Uniform"
    options: tuple[str, ...] = ()
    ensd: bool = False
    discards: bool = False
    alone: bool = False
    table: Callable[[Sequence[float]], Sequence[float]] | None = None
    levels: Callable[..., list[float]] | None = None


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Which noise levels the n steps visit.

    `sigmas(steps, table, **options) -> list of steps + 1 falling floats, as a rule ending in 0`, where `table` is the
    model's training noise levels, ascending, one per training timestep. `name` is the label, `key` the machine name.
    `options` names the keyword arguments it takes: "sigma_min", "sigma_max", "rho", "beta_alpha", "beta_beta" (floats), "sdxl" (bool: the model is of that family).
    """

    name: str
    key: str
    sigmas: Callable[..., list[float]]
    aliases: tuple[str, ...] = ()
    default_rho: float = -1.0
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """`combine(cond, uncond, scale, **options) -> denoised`, all (b, c, h, w) estimates of the clean latents.

    `options` names the keyword arguments it takes: "x" (b, c, h, w) and "sigma" of the call, "guidance_rescale",
    "threshold_percentile" (floats).
    """

    name: str
    combine: Callable[..., Tensor]
    aliases: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Use:
    """A loaded network file and how strongly it is applied to the text encoder and to the U-Net. `dyn`: rank, or None."""

    loaded: Any
    text_encoder: float = 1.0
    unet: float = 1.0
    dyn: int | None = None


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A kind of network file that changes a model for the time of a job.

    `kinds`: the words in prompts it answers to ("lora", "lyco"). `load(path) -> anything`; raises InvalidModelFile.
    `applied(layers, uses)` is a context manager; `layers` maps every name by which such files address a layer to the
    torch module (see `families/naming.py`); after the block every weight is what it was, bit for bit.
    """

    name: str
    kinds: tuple[str, ...]
    load: Callable[..., Any]
    applied: Callable[..., AbstractContextManager[Any]]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Upscaler:
    """`run(image, scale) -> image`: a PIL picture in RGB made `scale` times as large, about: who asked cuts it to size."""

    name: str
    run: Callable[[Any, float], Any]
    aliases: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of model. `matches(shapes)` sees tensor names and shapes of the file's header only: exactly one family says yes.

    `build(path, options) -> a built model` (see `families/built.py`); `save(model, path, metadata)` writes it back.
    """

    name: str
    matches: Callable[[Mapping[str, tuple[int, ...]]], bool]
    build: Callable[..., Any]
    save: Callable[..., None]
    aliases: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """`run(request, context)` does the job in the engine; `context` is `engine.worker.JobContext`."""

    name: str
    request: type
    run: Callable[[Any, Any], None]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingMethod:
    """A way to teach a model. `prepare(model, plan) -> context manager of a Learner` (see `training/learner.py`).

    `label`: as lists show it. `formats`: what it can be saved as (`core/training.py` FORMATS), the usual one first.
    `learning_rate`: its default. `whole`: it changes the model's own weights, which must then be held in 32 bits.
    """

    name: str
    label: str
    prepare: Callable[..., AbstractContextManager[Any]]
    formats: tuple[str, ...]
    learning_rate: float
    whole: bool = False
    note: str = ""
    aliases: tuple[str, ...] = ()


# What plugins return, web side ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class StorageBackend:
    """`connect(url, ...) -> an open store`; `url` as SQLAlchemy writes it."""

    name: str
    connect: Callable[..., Any]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dispatcher:
    """`start(...) -> a running dispatcher`, which hands jobs of the queue to engines."""

    name: str
    start: Callable[..., Any]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tab:
    """One tab of the page. `build(studio)` is called inside it, in a gradio Blocks context. Lower `order` is further left."""

    name: str
    id: str
    build: Callable[[Any], None]
    order: int = 100
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Routes:
    """HTTP routes. `build(studio) -> fastapi.APIRouter`. `api`: only served with --api or --nowebui."""

    name: str
    build: Callable[[Any], Any]
    api: bool = False
    aliases: tuple[str, ...] = ()


# The hooks ----------------------------------------------------------------------------------------------------------------


class Collect:
    """Asked once at start; each answers a list."""

    @hookspec
    def register_samplers(self) -> list[Sampler]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_schedules(self) -> list[Schedule]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_guidance(self) -> list[Guidance]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_adapters(self) -> list[Adapter]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_upscalers(self) -> list[Upscaler]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_families(self) -> list[Family]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_training_methods(self) -> list[TrainingMethod]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_job_kinds(self) -> list[JobKind]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_storage_backends(self) -> list[StorageBackend]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_dispatchers(self) -> list[Dispatcher]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_tabs(self) -> list[Tab]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_routes(self) -> list[Routes]: ...  # pyright: ignore[reportReturnType]

    @hookspec
    def register_settings(self) -> list[Setting]: ...  # pyright: ignore[reportReturnType]


class PassAlong:
    """Each may answer a changed copy; None leaves it as it is."""

    @hookspec
    def request_received(self, request: ImageRequest) -> ImageRequest | None:
        """Web process: a request is about to be checked and queued."""

    @hookspec
    def image_ready(self, image: Any, request: ImageRequest) -> Any | None:
        """Engine: `image` is a PIL picture, before its text is written and it is sent."""


class Tell:
    """News; what is answered is ignored."""

    @hookspec
    def started(self, studio: Any) -> None:
        """Web process: everything is up; the page is about to be served."""

    @hookspec
    def stopping(self) -> None:
        """Either process: it is about to end."""

    @hookspec
    def step_done(self, step: int, x: Tensor, denoised: Tensor) -> None:
        """Engine: after each sampling step."""

    @hookspec
    def image_saved(self, path: str, request: ImageRequest) -> None:
        """Web process: the picture lies in its folder and in the database."""

    @hookspec
    def job_progressed(self, progress: Progress) -> None:
        """Web process: a job went on by a step."""

    @hookspec
    def model_loaded(self, record: ModelRecord) -> None:
        """Engine: a checkpoint is in memory."""

    @hookspec
    def training_step(self, numbers: TrainingNumbers) -> None:
        """Engine: a training has taken a step."""


HOOKS = (Collect, PassAlong, Tell)

COLLECTED: Mapping[str, type] = {
    "register_samplers": Sampler,
    "register_schedules": Schedule,
    "register_guidance": Guidance,
    "register_adapters": Adapter,
    "register_upscalers": Upscaler,
    "register_families": Family,
    "register_training_methods": TrainingMethod,
    "register_job_kinds": JobKind,
    "register_storage_backends": StorageBackend,
    "register_dispatchers": Dispatcher,
    "register_tabs": Tab,
    "register_routes": Routes,
    "register_settings": Setting,
}


@dataclass(frozen=True, kw_only=True)
class Listener:
    """One plugin's implementation of one hook."""

    plugin: str
    builtin: bool
    call: Callable[..., Any] = field(repr=False)
