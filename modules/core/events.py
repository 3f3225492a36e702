"""What the web process and an engine tell each other: frozen dataclasses, see `wire.py` for how they travel."""

from dataclasses import dataclass, field

from modules.core.requests import FileRecord, ModelRecord, Request

# What the page lists but only an engine knows ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One entry of a list on the page. `key` is the machine name (schedules: `karras`), `note` a short remark.

    Of a training method: `key` its label, `options` its formats, `value` its learning rate.
    """

    name: str
    aliases: tuple[str, ...] = ()
    key: str = ""
    note: str = ""
    options: tuple[str, ...] = ()
    value: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Names an engine can be asked for; kept on disk so that the next start shows a complete page at once."""

    samplers: tuple[Choice, ...] = ()
    schedules: tuple[Choice, ...] = ()
    families: tuple[Choice, ...] = ()
    guidance: tuple[Choice, ...] = ()
    upscalers: tuple[Choice, ...] = ()
    job_kinds: tuple[str, ...] = ()
    training_methods: tuple[Choice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PluginReport:
    """How one extension fared in one process. `problem` is "" when it loaded."""

    name: str
    process: str
    problem: str = ""


# From an engine --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class EngineReady:
    """Sent once, after the imports: who it is and what it can do."""

    pid: int
    device: str
    device_name: str
    catalogue: Catalogue
    plugins: tuple[PluginReport, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EngineStatus:
    """What the engine is doing, for the line at the top of the page. Memory in bytes of the device (host RAM on CPU)."""

    doing: str
    memory_used: int = 0
    memory_total: int = 0
    model: str = ""


@dataclass(frozen=True, kw_only=True)
class Started:
    """Work on a job began."""

    job: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`step` of `steps` of batch `batch` of `batches`; `eta` seconds left for the whole job; `preview` a JPEG or None."""

    job: str
    step: int
    steps: int
    batch: int = 0
    batches: int = 1
    eta: float | None = None
    doing: str = ""
    preview: bytes | None = None

    @property
    def fraction(self) -> float:
        """Part of the whole job that is done, 0 to 1."""
        within = self.step / self.steps if self.steps else 0.0
        return min(1.0, (self.batch + within) / max(1, self.batches))


@dataclass(frozen=True, kw_only=True)
class ImageReady:
    """Picture `index` (0-based) of a job: PNG bytes that carry `infotext` already."""

    job: str
    index: int
    png: bytes
    infotext: str
    seed: int
    width: int
    height: int
    prompt: str = ""
    negative_prompt: str = ""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The job ended. `interrupted`: its owner stopped it, what was made is kept. `note`: a remark for the page.

    `result`: what a job gives that makes no pictures: the words for a picture, the name of a merged file.
    """

    job: str
    interrupted: bool = False
    note: str = ""
    result: str = ""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The job ended without its result. `sentence` is for the user, `detail` folds out. `kind` is the exception's class."""

    job: str
    sentence: str
    kind: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelLoaded:
    """A checkpoint is in memory and drawing with it can start."""

    record: ModelRecord
    family: str


# To an engine ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class InputPicture:
    """A stored picture that a request works on: the bytes of its file."""

    id: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A stored picture that a training works on, by its file: there may be more of them than a message can hold."""

    id: str
    path: str


@dataclass(frozen=True, kw_only=True)
class RunJob:
    """Do this. `have`: indices of pictures that an earlier attempt has delivered. `preview_every`: steps, 0 for none.

    `models`: every checkpoint that the request names, its own first. `files`: networks, embeddings, autoencoders and
    upscalers that it may need. `inputs`: the pictures it works on; a training's are `input_files`. `notes`: remarks for
    the page, known already.
    """

    job: str
    kind: str
    request: Request
    models: tuple[ModelRecord, ...] = ()
    files: tuple[FileRecord, ...] = ()
    inputs: tuple[InputPicture, ...] = ()
    input_files: tuple[InputFile, ...] = ()
    notes: tuple[str, ...] = ()
    have: tuple[int, ...] = ()
    preview_every: int = 1
    preview: str = "Approx cheap"  # Approx cheap: colours of the latents; Approx NN: decoded small; Full: decoded


@dataclass(frozen=True, kw_only=True)
class Interrupt:
    """Stop this job within one step."""

    job: str


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Leave the current batch of this job and go on with the next."""

    job: str


@dataclass(frozen=True, kw_only=True)
class Steer:
    """Ask a running training for something: "sample" or "save" now, or "finish": end here, with its results."""

    job: str
    wish: str


@dataclass(frozen=True, kw_only=True)
class LoadModel:
    """Have this checkpoint in memory, ready to draw."""

    record: ModelRecord


@dataclass(frozen=True, kw_only=True)
class UnloadModels:
    """Give the memory of all models back."""


@dataclass(frozen=True, kw_only=True)
class Quit:
    """End after the current step."""


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How an engine is to run; the first message it receives. `device`: "cpu", "cuda:0", "mps"."""

    device: str
    name: str
    extensions: str = ""
    checkpoints: str = ""  # folder for checkpoints that jobs make
    loras: str = ""  # folders for what trainings make
    embeddings: str = ""
    training: str = ""  # one folder for each run
    half: bool = True
    memory: str = "normal"  # normal, medvram, lowvram
    attention: str = "sdpa"  # sdpa, xformers, sub-quadratic
    compiled: bool = False  # torch.compile for the blocks that repeat
    cached_models: int = 1  # checkpoints kept in memory beside each other, as far as memory allows
    threads: int = 0  # 0: torch's own choice
    disabled: tuple[str, ...] = field(default=())
