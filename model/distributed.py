"""Several processes that train one network, as `torchrun` starts them; for one alone all this is nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from codegen.errors import UserError


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def processes(device: str) -> Iterator[torch.device]:
    """Join the other processes if `torchrun` started this one; gives this process its device.

    `device` is "cpu" or "cuda"; every local process gets a GPU of its own. Raises UserError if there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device must be one that torch finds here, not 'cuda'; leave it out for the CPU")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    place = torch.device("cuda", local) if device == "cuda" else torch.device("cpu")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield place
        return
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield place
    finally:
        distributed.destroy_process_group()


def in_parallel(objective: nn.Module) -> nn.Module:
    """The objective, its gradients averaged over all processes."""
    return DistributedDataParallel(objective) if world() > 1 else objective


def mean(value: float, device: torch.device) -> float:
    """The mean of every process's value, given to all."""
    if world() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return float(total) / world()


class _Total(torch.autograd.Function):
    """The sum over all processes. Each of them learns from it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Total.forward(ctx, gradient)


class BatchNorm(_BatchNorm):
    """Batch norm over dimension 1 of (N, C) or (N, C, H, W), its moments those of all processes' batches.

    So processes with a share of a batch compute what one process computes with the whole batch.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world() == 1:
            return super().forward(input)
        dims = [d for d in range(input.dim()) if d != 1]
        moments = torch.stack([input.mean(dims), input.square().mean(dims)])
        mean, square = _Total.apply(moments) / world()  # type: ignore[no-untyped-call]
        variance = square - mean.square()
        count = world() * input.numel() // input.shape[1]
        self._remember(mean.detach(), variance.detach() * (count / max(1, count - 1)))
        scale = self.weight * (variance + self.eps).rsqrt()
        shape = (1, -1, *[1] * (input.dim() - 2))
        return input * scale.reshape(shape) + (self.bias - mean * scale).reshape(shape)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1
