"""Where things lie on disk; the folder names of the field."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modules.core.flags import ROOT, Flags

FOLDERS = {  # below the models folder, by kind of file
    "lora": ("Lora", "LyCORIS"),
    "embedding": ("embeddings",),
    "hypernetwork": ("hypernetworks",),
    "vae": ("VAE",),
    "upscaler": ("ESRGAN", "RealESRGAN", "SwinIR", "DAT", "BSRGAN"),
}

PICTURES: Mapping[str, str] = {"edit": "img2img-images", "upscale": "extras-images"}  # folder by kind of job


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders and files of one installation. Nothing is created here."""

    data: Path
    models: Path
    checkpoint: Path | None = None
    checkpoints_too: Path | None = None
    vaes_too: Path | None = None
    loras_too: Path | None = None
    own_embeddings: Path | None = None

    @classmethod
    def of(cls, flags: Flags) -> "Places":
        """The places that the command line asks for."""
        return cls(
            data=flags.data_dir,
            models=flags.models_dir,
            checkpoint=flags.ckpt,
            checkpoints_too=flags.ckpt_dir,
            vaes_too=flags.vae_dir,
            loras_too=flags.lora_dir,
            own_embeddings=flags.embeddings_dir,
        )

    @property
    def outputs(self) -> Path:
        """Everything made: pictures, grids, the database."""
        return self.data / "outputs"

    @property
    def pictures(self) -> Path:
        """Pictures made from text, in one folder a day."""
        return self.pictures_of("image")

    def pictures_of(self, kind: str) -> Path:
        """Pictures that jobs of this kind made, in one folder a day."""
        return self.outputs / PICTURES.get(kind, "txt2img-images")

    @property
    def fleeting(self) -> Path:
        """Pictures that an API client fetches and nobody asked to keep."""
        return self.outputs / ".fleeting"

    @property
    def training(self) -> Path:
        """One folder for each training."""
        return self.outputs / "training"

    @property
    def inputs(self) -> Path:
        """Pictures that people bring along to work on."""
        return self.outputs / ".inputs"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.outputs / "atelier.sqlite3"

    @property
    def lock(self) -> Path:
        """Held by the one server that works on this data directory; holds its pid."""
        return self.outputs / ".atelier.lock"

    @property
    def cache(self) -> Path:
        """What can be made again: catalogue, hashes."""
        return self.data / "cache"

    @property
    def styles(self) -> Path:
        """Kept prompts, in the field's format."""
        return self.data / "styles.csv"

    @property
    def wildcards(self) -> Path:
        """Lists of words that prompts name as __list__."""
        return self.data / "wildcards"

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.data / "config.json"

    @property
    def extensions(self) -> Path:
        """Third parties' folders."""
        return self.data / "extensions"

    @property
    def checkpoint_folders(self) -> tuple[Path, ...]:
        """Folders searched for checkpoints; the one in the clone last, for the starter model."""
        shipped = ROOT / "models" / "Stable-diffusion"
        folders = [self.models / "Stable-diffusion", *([self.checkpoints_too] if self.checkpoints_too else []), shipped]
        return tuple(dict.fromkeys(folders))

    def folders(self, kind: str) -> tuple[Path, ...]:
        """Folders searched for files of a `FileRecord.kind`; what is fetched goes into the first."""
        further = {"vae": self.vaes_too, "lora": self.loras_too}.get(kind)
        own = [self.own_embeddings or self.data / "embeddings"] if kind == "embedding" else []
        below = [self.models / name for name in FOLDERS[kind]]
        return tuple(dict.fromkeys([*own, *below, *([further] if further else [])]))
