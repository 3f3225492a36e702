"""What of a model stays on the device: `--medvram` keeps the network in use there, `--lowvram` the layer in use.

By the hooks of accelerate; for CUDA. On a CPU there is nothing to offload to, so both change nothing.
"""

from importlib.util import find_spec

import torch

from modules.core.errors import InvalidOption
from modules.families.built import BuildOptions, Built


def apply_policy(built: Built, options: BuildOptions) -> None:
    """Hook the networks of a model as `options` ask. Raises InvalidOption when a package that was asked for is missing."""
    if options.device.type != "cuda":
        return
    if options.attention == "xformers":
        _use_xformers(built)
    if options.memory == "medvram":
        one_network_at_a_time(built)
    if options.memory == "lowvram":
        one_layer_at_a_time(built)


def weights_device(options: BuildOptions) -> str:
    """Where the weights are put when they are read: in main memory when they are only lent to the device."""
    lent = options.device.type == "cuda" and options.memory != "normal"
    return "cpu" if lent else str(options.device)


def _use_xformers(built: Built) -> None:
    if find_spec("xformers") is None:
        raise InvalidOption("--xformers was given, but xformers is not installed; install it or leave the flag out")
    built.unet.enable_xformers_memory_efficient_attention()


def one_network_at_a_time(built: Built) -> None:
    """`--medvram`."""
    from accelerate import cpu_offload_with_hook

    # a network leaves when its successor begins; the sampling loop calls only the U-Net, which so stays during it
    before = None
    for network in built.networks.values():
        _, before = cpu_offload_with_hook(network, built.device, prev_module_hook=before)


def one_layer_at_a_time(built: Built) -> None:
    """`--lowvram`."""
    from accelerate import cpu_offload

    for network in built.networks.values():
        cpu_offload(network, built.device)


def move(built: Built, device: torch.device) -> None:
    """Take a model without a policy to another device, all of it: main memory keeps it at hand for the next time."""
    for network in built.networks.values():
        network.to(device)
    built.device = device
