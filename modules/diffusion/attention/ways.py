"""Which way a network of diffusers computes attention, for a while.

"sdpa" is torch's own and the default. "xformers" is used when it is installed and the network is on CUDA.
"sub-quadratic" needs little memory: what is left when a picture is too large for the others.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn import functional

from modules.core.errors import InvalidOption
from modules.diffusion.attention import subquadratic

Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


class Network(Protocol):
    """A U-Net or an autoencoder of diffusers."""

    @property
    def attn_processors(self) -> dict[str, Any]: ...

    def set_attn_processor(self, processor: Any) -> None: ...


def sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Torch's scaled dot product attention; shapes as in `subquadratic.attend`."""
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def xformers(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Memory-efficient attention of the package xformers, which wants the heads third; shapes as in `sdpa`."""
    from xformers.ops import memory_efficient_attention

    turned = [one.transpose(1, 2).contiguous() for one in (q, k, v)]
    wide = None if mask is None else mask.expand(q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    return memory_efficient_attention(*turned, attn_bias=wide).transpose(1, 2)


WAYS: Mapping[str, Attend] = {"sdpa": sdpa, "xformers": xformers, "sub-quadratic": subquadratic.attend}


class Processor:
    """What diffusers' attention layers call, with another way to compute the attention itself.

    For the layers that Stable Diffusion has: one projection each for query, key and value, self- or cross-attention, on
    tokens (b, t, c) or pictures (b, c, h, w).
    """

    def __init__(self, attend: Attend) -> None:
        self.attend = attend

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **_more: Any,
    ) -> Tensor:
        """The layer's output for its input, in the input's shape."""
        x = hidden_states if attn.spatial_norm is None else attn.spatial_norm(hidden_states, temb)
        tokens = x.flatten(2).transpose(1, 2) if x.ndim == 4 else x
        if attn.group_norm is not None:
            tokens = attn.group_norm(tokens.transpose(1, 2)).transpose(1, 2)
        found = self._attended(attn, tokens, encoder_hidden_states, attention_mask)
        if x.ndim == 4:
            found = found.transpose(1, 2).reshape(x.shape)
        if attn.residual_connection:
            found = found + hidden_states
        return found / attn.rescale_output_factor

    def _attended(self, attn: Any, x: Tensor, context: Tensor | None, mask: Tensor | None) -> Tensor:
        """(b, n, c) -> (b, n, c): projections, attention by heads, projection back."""
        if context is None:
            context = x
        elif attn.norm_cross:
            context = attn.norm_encoder_hidden_states(context)
        if mask is not None:
            mask = attn.prepare_attention_mask(mask, context.shape[1], len(x)).view(
                len(x), attn.heads, -1, len(context[0])
            )
        q, k, v = (_heads(one, attn.heads) for one in (attn.to_q(x), attn.to_k(context), attn.to_v(context)))
        q = q if attn.norm_q is None else attn.norm_q(q)
        k = k if attn.norm_k is None else attn.norm_k(k)
        found = self.attend(q, k, v, mask).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](found.to(q.dtype)))


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


@contextmanager
def attention(way: str, *networks: Any) -> Iterator[None]:
    """While inside, these networks compute attention this way. Raises InvalidOption when it cannot be had."""
    check(way, networks)
    with ExitStack() as stack:
        for network in networks if way != "sdpa" else ():
            before = network.attn_processors
            stack.callback(network.set_attn_processor, before)
            network.set_attn_processor(dict.fromkeys(before, Processor(WAYS[way])))
        yield


def check(way: str, networks: tuple[nn.Module, ...] = ()) -> None:
    """Raises InvalidOption, saying what to do, for a way that is unknown, not installed or not for these networks."""
    if way not in WAYS:
        raise InvalidOption(f"no way to compute attention is called {way!r}; there are {', '.join(WAYS)}")
    if way == "xformers" and find_spec("xformers") is None:
        raise InvalidOption("--xformers was given, but xformers is not installed; install it or leave the flag out")
    devices = {parameter.device.type for network in networks for parameter in network.parameters()}
    if way == "xformers" and devices - {"cuda", "meta"}:
        raise InvalidOption("xformers works on NVIDIA GPUs only; leave the flag out")
