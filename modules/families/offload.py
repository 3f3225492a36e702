"""What of a model stays on the device: `--medvram` keeps the network in use there, `--lowvram` the layer in use.

By the hooks of accelerate; for CUDA. On a CPU there is nothing to offload to, so both change nothing.
"""

from modules.core.errors import InvalidOption
from modules.families.built import BuildOptions, Built


def apply_policy(built: Built, options: BuildOptions) -> None:
    """Hook the networks of a model as `options` ask. Raises InvalidOption when a package that was asked for is missing."""
    if options.device.type != "cuda":
        return
    if options.attention == "xformers":
        _use_xformers(built)
    if options.memory == "medvram":
        _one_network_at_a_time(built)
    if options.memory == "lowvram":
        _one_layer_at_a_time(built)


def weights_device(options: BuildOptions) -> str:
    """Where the weights are put when they are read: in main memory when they are only lent to the device."""
    lent = options.device.type == "cuda" and options.memory != "normal"
    return "cpu" if lent else str(options.device)


def _use_xformers(built: Built) -> None:
    try:
        import xformers  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InvalidOption(
            "--xformers was given, but xformers is not installed; install it or leave the flag out"
        ) from error
    built.unet.enable_xformers_memory_efficient_attention()


def _one_network_at_a_time(built: Built) -> None:
    from accelerate import cpu_offload_with_hook

    # a network leaves when its successor begins; the sampling loop calls only the U-Net, which so stays during it
    _, text = cpu_offload_with_hook(built.text_encoder, built.device)
    _, unet = cpu_offload_with_hook(built.unet, built.device, prev_module_hook=text)
    cpu_offload_with_hook(built.vae, built.device, prev_module_hook=unet)


def _one_layer_at_a_time(built: Built) -> None:
    from accelerate import cpu_offload

    for network in (built.text_encoder, built.unet, built.vae):
        cpu_offload(network, built.device)
