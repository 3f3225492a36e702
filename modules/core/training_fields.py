"""The fields of a training, by topic; names and meanings as trainers of the field use them."""

from dataclasses import dataclass

from modules.core.fields import shown

METHODS = ("dreambooth", "lora", "textual_inversion", "custom_diffusion")
LONGEST_PROMPT = 2_000
LONGEST_FILE_NAME = 120
MOST_PICTURES = 2_000


@dataclass(frozen=True, kw_only=True)
class SubjectFields:
    """What is taught, to which model, by which method."""

    method: str = shown("lora", "Method", longest=100, choices="training_methods", help="How the model is taught.")
    model: str = shown("", "Base checkpoint", longest=1_000, choices="models", help="The model that learns.")
    name: str = shown(
        "", "Name", longest=LONGEST_FILE_NAME, help="File name of the result; an embedding is called by it in prompts."
    )
    class_noun: str = shown("", "What is it?", longest=200, help="The kind of thing: cat, dog, backpack, person.")
    identifier: str = shown(
        "sks", "Identifier", longest=200, help="A rare token that will stand for your subject, before its class noun."
    )
    instance_prompt: str = shown(
        "", "Instance prompt", longest=LONGEST_PROMPT, help="What the pictures show: a photo of sks cat."
    )


@dataclass(frozen=True, kw_only=True)
class DataFields:
    """The pictures. `pictures`: stored pictures' ids (`services/inputs.py`); `names`, `captions`: one for each, or none.

    A caption that is "" stands for the instance prompt. `crops`: (left, top, right, bottom) of each picture, as parts of
    its sides, or none. `folder`: where on the server the pictures came from, for the record.
    """

    pictures: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    crops: tuple[tuple[float, float, float, float], ...] = ()
    folder: str = shown("", "Folder", longest=4_000, help="A folder on the server, instead of uploaded pictures.")
    resolution: int = shown(
        0, "Resolution", minimum=0, maximum=2048, step=64, multiple_of=8, help="0: what the checkpoint was trained at."
    )
    crop: str = shown(
        "center", "Crop", options=("center", "random", "focal"), help="Which part of a picture that is not square."
    )
    buckets: bool = shown(False, "Buckets", help="Keep the pictures' shapes: like ones train together.")
    random_flip: bool = shown(False, "Flip", help="Mirror half of them; not for faces, letters or one-sided marks.")
    shuffle_caption: bool = shown(False, "Shuffle tags", help="Another order of a caption's comma-separated parts.")
    keep_tokens: int = shown(0, "Keep tags", minimum=0, maximum=20, step=1, help="How many first parts stay in place.")
    caption_dropout_rate: float = shown(
        0.0, "Caption dropout", minimum=0, maximum=1, step=0.05, help="How often the caption is left out."
    )
    cache_latents: bool = shown(True, "Cache latents", help="Encode each picture once, not at every step.")


@dataclass(frozen=True, kw_only=True)
class PriorFields:
    """Prior preservation: Ruiz et al. 2022, arXiv:2208.12242, eq. 2."""

    with_prior_preservation: bool = shown(
        False, "Prior preservation", help="Also learn from pictures of the class, so that not every cat becomes yours."
    )
    prior_loss_weight: float = shown(
        1.0, "Prior loss weight", minimum=0, maximum=2, step=0.05, highest=100, help="Lambda of the paper's equation 2."
    )
    class_prompt: str = shown("", "Class prompt", longest=LONGEST_PROMPT, help="What class pictures show.")
    num_class_images: int = shown(100, "Class pictures", minimum=1, maximum=1000, step=1, highest=10_000, help="Count.")
    class_pictures: tuple[str, ...] = ()  # own ones (stored pictures), instead of generated ones
    class_source: str = shown(
        "generate",
        "Class pictures from",
        options=("generate", "own"),
        help="Made by the base model and kept for other trainings, or your own.",
    )
    class_sampler: str = shown("Euler a", "Class sampler", longest=100, choices="samplers", help="An ancestral one.")
    class_steps: int = shown(20, "Class steps", minimum=1, maximum=150, step=1, help="Sampling steps.")
    class_cfg_scale: float = shown(0.0, "Class CFG", minimum=0, maximum=30, step=0.5, help="0: the default.")
    class_seed: int = shown(1, "Class seed", minimum=0, maximum=2**31, step=1, help="Of the first class picture.")


@dataclass(frozen=True, kw_only=True)
class OptimizerFields:
    """How weights are changed. A `learning_rate` of 0 is the method's default, chosen at the desk."""

    max_train_steps: int = shown(
        0, "Steps", minimum=0, maximum=5000, step=10, highest=1_000_000, help="0: 100 for each picture, 400 to 2000."
    )
    learning_rate: float = shown(
        0.0, "Learning rate", minimum=0, maximum=0.1, step=1e-7, highest=10, help="0: the method's default."
    )
    train_text_encoder: bool = shown(False, "Train text encoder", help="Better likeness, more memory, sooner overfit.")
    text_encoder_lr: float = shown(
        0.0, "Text encoder learning rate", minimum=0, maximum=0.1, step=1e-7, highest=10, help="0: half of the other."
    )
    stop_text_encoder: float = shown(
        1.0, "Stop text encoder", minimum=0, maximum=1, step=0.05, help="After this part of the steps."
    )
    train_batch_size: int = shown(1, "Batch size", minimum=1, maximum=32, step=1, highest=512, help="Pictures a step.")
    gradient_accumulation_steps: int = shown(
        1, "Gradient accumulation", minimum=1, maximum=32, step=1, highest=512, help="Batches for each step."
    )
    optimizer: str = shown(
        "AdamW",
        "Optimizer",
        options=("AdamW", "AdamW 8-bit", "Prodigy", "Adafactor", "SGD"),
        help="Prodigy finds its learning rate itself: set it to 1.",
    )
    adam_beta1: float = shown(0.9, "Beta 1", minimum=0, maximum=0.999, step=0.001, help="Adam's first moment.")
    adam_beta2: float = shown(0.999, "Beta 2", minimum=0, maximum=0.9999, step=0.0001, help="Adam's second moment.")
    adam_weight_decay: float = shown(0.01, "Weight decay", minimum=0, maximum=1, step=0.001, help="Of AdamW.")
    adam_epsilon: float = shown(1e-8, "Epsilon", minimum=1e-12, maximum=1e-3, step=1e-9, help="Of Adam.")
    max_grad_norm: float = shown(1.0, "Clip gradients", minimum=0, maximum=10, step=0.1, help="0: not at all.")
    lr_scheduler: str = shown(
        "constant",
        "Learning rate schedule",
        options=(
            "constant",
            "constant_with_warmup",
            "linear",
            "cosine",
            "cosine_with_restarts",
            "polynomial",
        ),
        help="How the learning rate changes over the steps.",
    )
    lr_warmup_steps: int = shown(0, "Warm-up steps", minimum=0, maximum=1000, step=10, highest=100_000, help="Rising.")
    lr_num_cycles: int = shown(1, "Cycles", minimum=1, maximum=20, step=1, help="Of cosine with restarts.")
    lr_power: float = shown(1.0, "Power", minimum=0.1, maximum=5, step=0.1, help="Of the polynomial schedule.")


@dataclass(frozen=True, kw_only=True)
class NetworkFields:
    """What LoRA and textual inversion add to a model."""

    rank: int = shown(16, "Rank", minimum=1, maximum=256, step=1, highest=1024, help="Of a LoRA: network dim.")
    alpha: float = shown(16.0, "Alpha", minimum=0.1, maximum=256, step=0.5, highest=1024, help="Strength alpha / rank.")
    targets: str = shown(
        "attention",
        "Layers",
        options=("attention", "attention and feed-forward", "all linear and convolution"),
        help="Which layers a LoRA changes.",
    )
    num_vectors: int = shown(2, "Vectors", minimum=1, maximum=75, step=1, help="Of an embedding: tokens it takes.")
    initializer_token: str = shown(
        "", "Initializer", longest=200, help="A word to begin from; the class noun if empty."
    )


@dataclass(frozen=True, kw_only=True)
class LossFields:
    """What is minimised."""

    loss: str = shown("l2", "Loss", options=("l2", "huber", "l1"), help="l2 is the papers'.")
    snr_gamma: float = shown(
        0.0, "Min-SNR gamma", minimum=0, maximum=20, step=0.5, help="Hang et al. 2023; 5 is usual, 0 is off."
    )
    noise_offset: float = shown(0.0, "Noise offset", minimum=0, maximum=1, step=0.01, help="For very dark or bright.")
    latent_sampling: str = shown(
        "random", "Latent sampling", options=("random", "deterministic"), help="Draw from the posterior, or its mean."
    )
    use_ema: bool = shown(False, "EMA", help="The result is an average of the last weights.")
    ema_decay: float = shown(0.9999, "EMA decay", minimum=0, maximum=0.99999, step=0.0001, help="At most.")


@dataclass(frozen=True, kw_only=True)
class MemoryFields:
    """Speed and memory."""

    mixed_precision: str = shown("auto", "Precision", options=("auto", "no", "bf16", "fp16"), help="Of the arithmetic.")
    gradient_checkpointing: bool = shown(False, "Gradient checkpointing", help="Less memory, a third slower.")
    num_processes: int = shown(1, "Devices", minimum=1, maximum=16, step=1, help="GPUs that train together.")
    seed: int = shown(-1, "Seed", minimum=-1, maximum=2**32 - 1, step=1, help="-1: drawn at the start, and kept.")


@dataclass(frozen=True, kw_only=True)
class PreviewFields:
    """Pictures on the way, made as txt2img makes them. Each prompt is drawn with `preview_seed`, always the same."""

    preview_prompts: tuple[str, ...] = ()  # empty: none; the face suggests subject, new context, class
    preview_every: int = shown(0, "Preview every", minimum=-1, maximum=1000, step=10, help="Steps. 0: ten, -1: none.")
    preview_seed: int = shown(61, "Preview seed", minimum=0, maximum=2**32 - 1, step=1, help="The same every time.")
    preview_sampler: str = shown("DPM++ 2M", "Preview sampler", longest=100, choices="samplers", help="As in txt2img.")
    preview_steps: int = shown(20, "Preview steps", minimum=1, maximum=150, step=1, help="Sampling steps.")
    preview_cfg_scale: float = shown(0.0, "Preview CFG", minimum=0, maximum=30, step=0.5, help="0: the default.")


@dataclass(frozen=True, kw_only=True)
class SavingFields:
    """What is kept. `formats`: see `FORMATS`; empty is the method's usual one."""

    save_every: int = shown(0, "Save every", minimum=0, maximum=5000, step=10, help="Steps. 0: a fifth of all.")
    keep_last: int = shown(3, "Keep", minimum=1, maximum=50, step=1, help="How many snapshots stay beside the last.")
    save_precision: str = shown("fp16", "Save as", options=("fp16", "bf16", "fp32"), help="Numbers in the files.")
    formats: tuple[str, ...] = ()
