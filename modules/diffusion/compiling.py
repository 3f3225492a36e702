"""Faster steps by torch.compile, of the transformer blocks only: they repeat, so one compilation serves them all.

The first step then takes one to two minutes on a CPU; it pays for long runs of pictures of one size. Needs a C++ compiler.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def compiled(network: nn.Module, backend: str | Callable[..., Any] = "inductor") -> Iterator[None]:
    """While inside, the transformer blocks of a U-Net of diffusers run compiled. What was compiled is kept for next time."""
    blocks = [block for one in network.modules() for block in getattr(one, "transformer_blocks", ())]
    with ExitStack() as stack:
        # without this, what token merging and hypernetworks hang on the layers later would silently do nothing
        stack.enter_context(torch._dynamo.config.patch(skip_nnmodule_hook_guards=False))
        for block in blocks:
            stack.callback(_set_forward, block, vars(block).get("forward"))
            block.forward = torch.compile(block.forward, backend=backend)
        yield


def _set_forward(block: nn.Module, forward: object | None) -> None:
    """Its own method again, or what a hook had put in its place."""
    if forward is None:
        del block.forward
    else:
        block.forward = forward  # pyright: ignore[reportAttributeAccessIssue]
