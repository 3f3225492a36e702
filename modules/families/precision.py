"""Which number type each network works in on a device. The same device always answers the same: no timing decides.

Measured for this choice (2 cores of an AMD EPYC with avx512_bf16): see `docs/benchmarks.md`.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Number types: `network` for the U-Net, the others by name."""

    network: torch.dtype
    vae: torch.dtype
    text_encoder: torch.dtype


FULL = Precision(network=torch.float32, vae=torch.float32, text_encoder=torch.float32)


def precision(device: torch.device, half: bool) -> Precision:
    """What to use on `device`; 32 bits everywhere unless `half`.

    The autoencoder never works in float16: its activations leave that range (65,504) in some published models, and
    the picture comes out black. bfloat16 has the range of float32. The text tower runs once per prompt; on a CPU
    float32 costs nothing there and keeps the embedding exact.
    """
    if not half:
        return FULL
    if device.type == "cpu":
        return _on_cpu()
    vae = torch.bfloat16 if _has_bfloat16(device) else torch.float32
    return Precision(network=torch.float16, vae=vae, text_encoder=torch.float16)


def _on_cpu() -> Precision:
    if not cpu_multiplies_bfloat16():
        return FULL
    return Precision(network=torch.bfloat16, vae=torch.bfloat16, text_encoder=torch.float32)


def cpu_multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for it; without them bfloat16 is emulated and slower than float32."""
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16") or known.get("arm_bf16") or known.get("bf16"))


def _has_bfloat16(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
