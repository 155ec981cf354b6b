"""Several processes that train one network under `torchrun`: who is who, what they tell each other.

Every function works in a single process too, where it does nothing or gives back what it got. PyTorch, which takes
seconds to import, is imported where it is needed: `rank` and `processes` do without.
"""

from __future__ import annotations

import contextlib
import gc
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from utils.system.errors import UserError
from utils.system.machine import pick_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.distributed import Store

Result = TypeVar("Result")


def processes() -> int:
    """How many processes `torchrun` started, on all machines; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank() -> int:
    """This process's number among them, from 0; that one writes files and speaks."""
    return int(os.environ["RANK"]) if processes() > 1 else 0


def was_restarted() -> bool:
    """Whether `torchrun --max-restarts` started the processes again after one of them died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def command_prefix() -> list[str]:
    """What stands before the script's name on the command line, as far as the processes can know."""
    if processes() == 1:
        return ["python"]
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    nodes = processes() // local
    return ["torchrun", *(["--nnodes", str(nodes)] if nodes > 1 else []), "--nproc-per-node", str(local)]


def run_in_group(work: Callable[[torch.device], Result], device: str) -> Result:
    """Join the other processes, over nccl with GPUs and over gloo without, work there, and leave them.

    Args:
        work: gets this process's device; what it gives back holds nothing of `average_gradients`.
        device: `cpu`, `cuda`, or empty for GPUs where there are some; several processes take a GPU each.

    Returns:
        What `work` gives.

    Raises:
        UserError: the device is unknown, not there, or one GPU for several processes.
    """
    import torch
    from torch import distributed

    if processes() == 1:
        return work(pick_device(device))
    if device not in ("", "cpu", "cuda"):
        raise UserError(
            f"--device: found '{device}' for {processes()} processes, expected cpu or cuda; each takes a GPU of its own"
        )
    cuda = torch.cuda.is_available() if not device else device == "cuda"
    own = pick_device(f"cuda:{os.environ['LOCAL_RANK']}" if cuda else "cpu")
    if cuda:
        torch.cuda.set_device(own)
    store, own_rank, count = next(distributed.rendezvous("env://"))
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo", store=fresh_store(store), rank=own_rank, world_size=count
    )
    result = work(own)
    # The group waits for its threads when its last owner goes. That must not be a DistributedDataParallel, which goes
    # with the interpreter locked: a thread that drops the last exchanged tensor needs the lock, and neither would end.
    gc.collect()
    distributed.destroy_process_group()  # not after an error, when others may be waiting inside an operation
    return result


def fresh_store(store: Store) -> Store:
    """`store`, in which what processes wrote before they died is out of sight.

    On one machine `torchrun --max-restarts` goes on with the store it has, where new processes would find the
    addresses of dead ones. Over several machines each start has a store of its own, and counts of starts may differ.
    """
    from torch.distributed import PrefixStore

    several = int(os.environ.get("GROUP_WORLD_SIZE", 1)) > 1
    return store if several else PrefixStore(f"start{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)


def average_gradients(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` with gradients averaged over the processes."""
    if processes() == 1:
        return network
    from torch.nn.parallel import DistributedDataParallel

    # Weights of 1×1 convolutions have several layouts that are the same.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    return DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)


def synchronise_norm(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` with batch statistics over all processes; on the CPU, where PyTorch has no such layer, it stays."""
    from torch import nn

    several = processes() > 1 and device.type == "cuda"
    return nn.SyncBatchNorm.convert_sync_batchnorm(network) if several else network


def postpone_exchange(network: nn.Module) -> contextlib.AbstractContextManager:
    """Leave the gradients of a network from `average_gradients` to a later backward pass."""
    return network.no_sync() if processes() > 1 else contextlib.nullcontext()


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean over the processes, elementwise."""
    if processes() == 1:
        return values
    from torch import distributed

    values = values.clone()
    distributed.all_reduce(values)
    return values / processes()


def max_over_processes(number: int) -> int:
    """The largest of the processes' numbers."""
    if processes() == 1:
        return number
    import torch
    from torch import distributed

    value = torch.tensor(number)
    distributed.all_reduce(value, distributed.ReduceOp.MAX)
    return int(value)


def gather(value: Any) -> list[Any]:
    """Every process's value, in order of rank; plain values, arrays and CPU tensors."""
    if processes() == 1:
        return [value]
    from torch import distributed

    values: list[Any] = [None] * processes()
    distributed.all_gather_object(values, value)
    return values


def take_first(value: Any) -> Any:
    """The value of rank 0."""
    if processes() == 1:
        return value
    from torch import distributed

    holder = [value]
    distributed.broadcast_object_list(holder, 0)
    return holder[0]


def copy_first(module: nn.Module) -> None:
    """Give every process rank 0's parameters and buffers: batch norm's running averages differ without GPUs."""
    if processes() == 1:
        return
    from torch import distributed

    for value in module.state_dict().values():
        distributed.broadcast(value, 0)
