"""What a training computes with: numbers of which length, with whom together, and how much memory that takes."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import connection
from typing import Any

import torch
import torch.distributed as together
import torch.multiprocessing
from torch import Tensor, nn

from modules.core.errors import EngineLost, InvalidRequest, Problem
from modules.core.training import TrainingPlan

LONGEST_PREVIEW = timedelta(
    days=1
)  # for which the other processes wait, and whatever else the first does between steps


def number_for(plan: TrainingPlan, device: torch.device) -> torch.dtype | None:
    """What the networks compute in, None for float32. The weights that learn and the losses are float32 in any case.

    "auto": bfloat16 where a GPU has it, else float16 there. On a CPU nothing is won (measured on an EPYC with
    avx512_bf16: starter 0.12 s a step either way). Raises InvalidRequest for float16 on a CPU.
    """
    asked, gpu = plan.mixed_precision, device.type == "cuda"
    if asked == "auto":
        asked = ("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16") if gpu else "no"
    if asked == "fp16" and not gpu:
        message = "fp16 needs a CUDA GPU: its small gradients are lost on other devices. Choose bf16, no or auto."
        raise InvalidRequest(Problem(field="mixed_precision", message=message))
    return {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}[asked]


def computing_in(number: torch.dtype | None, device: torch.device) -> AbstractContextManager[Any]:
    """Let networks compute in this number type inside the block."""
    return torch.autocast(device.type, number or torch.bfloat16, enabled=number is not None)


def memory_peak(device: torch.device) -> int:
    """The most bytes held so far: on a CUDA device by torch for tensors, else by the whole process. 0 where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    if sys.platform == "win32":
        return 0
    import resource  # not there on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# Several processes ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """How many processes train together, and which of them this is."""

    rank: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> "Ranks":
        """One alone unless a process group has been opened (see `joined`)."""
        if not (together.is_available() and together.is_initialized()):
            return cls()
        return cls(rank=together.get_rank(), count=together.get_world_size())

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean of everybody's tensor, in its place. NaN of one is NaN of all, so all stop together."""
        if self.count > 1:
            together.all_reduce(tensor)
            tensor /= self.count
        return tensor

    def begin_alike(self, parameters: Sequence[nn.Parameter]) -> None:
        """Let all have the first one's weights."""
        if self.count > 1:
            for one in parameters:
                together.broadcast(one.detach(), src=0)

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Let all processes have the mean gradient. What no process has a gradient for keeps none."""
        if self.count == 1:
            return
        device = parameters[0].device
        there = torch.tensor([one.grad is not None for one in parameters], dtype=torch.int32, device=device)
        together.all_reduce(there, together.ReduceOp.MAX)
        gradients: list[Tensor] = []
        for one, has in zip(parameters, there.tolist(), strict=True):
            if has:
                one.grad = torch.zeros_like(one) if one.grad is None else one.grad
                gradients.append(one.grad)
        for answer in [together.all_reduce(gradient, async_op=True) for gradient in gradients]:
            if answer is not None:
                answer.wait()
        for gradient in gradients:
            gradient /= self.count


@contextmanager
def joined(rank: int, count: int, port: int, device: torch.device) -> Generator[None, None, None]:
    """This process as one of `count` that train together, each on its own device; accelerate opens the group.

    port: a free one of this machine, the same for all. What was in the environment comes back afterwards.
    """
    from accelerate import PartialState

    local = rank if device.type == "cpu" else device.index or 0
    counts = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(count))
    told = {"RANK": str(rank), "LOCAL_RANK": str(local), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)} | counts
    before, threads = {name: os.environ.get(name) for name in told}, torch.get_num_threads()
    os.environ.update(told)
    state = PartialState(cpu=device.type == "cpu", timeout=LONGEST_PREVIEW)
    try:
        yield
    finally:
        state.destroy_process_group()
        # accelerate keeps its state for the life of the process; the next training is another
        PartialState._reset_state()  # pyright: ignore[reportPrivateUsage]
        torch.set_num_threads(threads)  # accelerate shares the cores out
        os.environ.update({name: text for name, text in before.items() if text is not None})
        for name in (name for name, text in before.items() if text is None):
            os.environ.pop(name, None)


@contextmanager
def accompanied(
    devices: Sequence[torch.device], work: Callable[..., None], *arguments: object, start: str = "spawn"
) -> Generator[None, None, None]:
    """Inside the block a process for each further device runs `work(device, *arguments)`; the first is this one's own.

    work: a function at the top of a module, with arguments that can be pickled: they are sent to fresh interpreters. It
    should build the same learner and call `loop.train`. The others end with the block, whatever happens in it.
    start: "fork" for tests; CUDA does not survive it.  Raises EngineLost when one does not come up.
    """
    if len(devices) == 1:
        yield
        return
    port = _free_port()
    context: Any = torch.multiprocessing.get_context(start)
    here, there = context.Pipe(duplex=False)
    others = [
        context.Process(target=_accompany, args=(there, rank, len(devices), port, device, work, arguments), daemon=True)
        for rank, device in enumerate(devices)
        if rank > 0
    ]
    try:
        for other in others:
            other.start()
        _wait_for(others, here)
        with joined(0, len(devices), port, devices[0]):
            yield
            _end(others, 2.0)  # they have taken their last step too, or wait for one that never comes
    finally:
        _end(others)


def _wait_for(others: Sequence[Any], here: Any) -> None:
    """Until each has said that it is there."""
    for _ in others:
        connection.wait([here, *(other.sentinel for other in others)])
        if not here.poll():
            raise EngineLost("A process for another device ended before it began; train on one device.")
        here.recv()


def _end(others: Sequence[Any], patience: float = 0.0) -> None:
    for other in others:
        if other.pid is not None:
            other.join(timeout=patience)
            other.kill()
            other.join()


def _accompany(
    there: Any,
    rank: int,
    count: int,
    port: int,
    device: torch.device,
    work: Callable[..., None],
    arguments: tuple[object, ...],
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    there.send(rank)
    with joined(rank, count, port, device):
        work(device, *arguments)


def _end_with_parent() -> None:
    """A killed first process must not leave others waiting for its gradients."""
    parent = torch.multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
