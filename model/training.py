"""The one training loop, for the float network, the teacher and every layer of the student."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from model.batches import Batches, to_tensor
from model.data import Images
from model.journal import Journal
from model.recipe import Schedule

Loss = Callable[[Tensor, Tensor], Tensor]
"""Image codes (B, C, H, W) float64 and labels (B,) -> the number to make small."""


def fit(
    stage: str,
    parameters: Iterable[nn.Parameter],
    loss: Loss,
    batches: Batches,
    schedule: Schedule,
    accuracy: Callable[[], float],
    journal: Journal,
) -> None:
    """Minimise `loss` over `parameters` by Adam, its learning rate falling as a cosine; log every epoch."""
    optimiser = torch.optim.Adam(list(parameters), lr=schedule.learning_rate)
    with journal.stage(stage, schedule.epochs) as log:
        for epoch in range(schedule.epochs):
            losses = []
            for group in optimiser.param_groups:
                group["lr"] = schedule.learning_rate * (1 + math.cos(math.pi * epoch / schedule.epochs)) / 2
            for codes, labels in batches:
                value = loss(codes, labels)
                optimiser.zero_grad()
                value.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                losses.append(value.item())
            log(epoch + 1, sum(losses) / len(losses), accuracy())


@torch.no_grad()
def count_correct(network: nn.Module, images: Images) -> int:
    """How many images the network, in evaluation mode, puts into their class."""
    was_training = network.training
    network.eval()
    predicted: Tensor = network(to_tensor(images.images)).argmax(1)
    network.train(was_training)
    return int((predicted.numpy() == images.labels).sum())
