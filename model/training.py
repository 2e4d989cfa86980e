"""The one training loop, for the float network, the teacher and every layer of the student."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from codegen.errors import UserError
from model.batches import Batches, to_codes, to_tensor
from model.checkpoint import Checkpoint, OptimiserState, Progress
from model.data import Images
from model.distributed import in_parallel, mean, rank, world
from model.journal import Journal, StageLog
from model.recipe import Data, Schedule

TOGETHER = 100  # images that are evaluated at once


@dataclass(frozen=True)
class Feeder:
    """How images become batches of the network's codes on a device."""

    data: Data
    size: int
    input_bits: int
    device: torch.device

    def batches(self, images: Images, batch: int) -> Batches:
        """Random batches to learn from; every process gets its share of each."""
        return Batches(images, self.data, self.size, self.input_bits, batch, self.device, rank(), world())

    def plain(self, images: Images, most: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """The images, or the first of them, as they are: codes (N, C, H, W) float32 and labels (N,) int64."""
        count = min(len(images), most or len(images))
        for start in range(0, count, TOGETHER):
            some = images[np.arange(start, min(start + TOGETHER, count))]
            codes = to_tensor(to_codes(some.images, self.size, self.input_bits))
            yield codes.to(self.device), torch.from_numpy(some.labels).to(self.device)

    @torch.no_grad()
    def count_correct(self, network: Callable[[Tensor], Tensor], images: Images) -> int:
        """How many images the network, which gives (N, classes), puts into their class."""
        right = [(network(codes).argmax(1) == labels).sum() for codes, labels in self.plain(images)]
        return int(torch.stack(right).sum())


class Trainer:
    """Runs the stages of one run, each once: what the checkpoint says is done is not done again."""

    def __init__(
        self,
        networks: nn.ModuleDict,
        feeder: Feeder,
        train: Images,
        seed: int,
        journal: Journal,
        checkpoint: Checkpoint,
        progress: Progress,
    ) -> None:
        self.networks, self.feeder, self.train, self.seed = networks, feeder, train, seed
        self.journal, self.checkpoint, self.progress = journal, checkpoint, progress
        self.optimiser_state: OptimiserState = {}

    def resume(self) -> None:
        """Take networks, optimiser and progress from the checkpoint; raises UserError if there is none."""
        self.progress, networks, self.optimiser_state = self.checkpoint.read(self.progress.digest)
        try:
            self.networks.load_state_dict(networks)
        except RuntimeError as error:
            raise self.checkpoint.refused(error) from error
        self.journal.records[:] = self.progress.records
        self.journal.warnings[:] = self.progress.warnings

    def once(self, stage: str, work: Callable[[], None]) -> None:
        """Do the work of a stage without epochs, unless it is done."""
        if stage in self.progress.done:
            return
        start = time.monotonic()
        work()
        self.progress.seconds[stage] = time.monotonic() - start
        self._finish(stage)

    def count(self, name: str, network: Callable[[Tensor], Tensor], images: Images) -> int:
        """How many images the network puts into their class; counted once."""
        if name not in self.progress.counts:
            self.progress.counts[name] = self.feeder.count_correct(network, images)
        return self.progress.counts[name]

    def fit(
        self,
        stage: str,
        learner: nn.Module,
        objective: nn.Module,
        schedule: Schedule,
        accuracy: Callable[[], float],
    ) -> None:
        """Make the objective of (codes, labels) small over the parameters of `learner`, a part of it.

        Adam, its learning rate falling to zero as a cosine; logs and saves every epoch. Raises UserError if
        the loss is not a number.
        """
        if stage in self.progress.done:
            return
        objective.requires_grad_(False)
        optimiser = torch.optim.Adam(learner.requires_grad_(True).parameters(), lr=schedule.learning_rate)
        self._restore(optimiser)
        batches = self.feeder.batches(self.train, schedule.batch)
        parallel, first = in_parallel(objective), self.progress.epochs
        with self.journal.stage(stage, schedule.epochs, first, len(batches) * schedule.batch) as log:
            for epoch in range(first, schedule.epochs):
                start = time.monotonic()
                rate = schedule.learning_rate * (1 + math.cos(math.pi * epoch / schedule.epochs)) / 2
                loss = self._epoch(stage, epoch, rate, learner, parallel, optimiser, batches, log)
                log.epoch(epoch + 1, loss, accuracy())
                self.progress.seconds[stage] = self.progress.seconds.get(stage, 0) + time.monotonic() - start
                self.progress.epochs = epoch + 1
                self._save(optimiser)
        learner.requires_grad_(False)
        self._finish(stage)

    def _epoch(
        self,
        stage: str,
        epoch: int,
        rate: float,
        learner: nn.Module,
        objective: nn.Module,
        optimiser: torch.optim.Optimizer,
        batches: Batches,
        log: StageLog,
    ) -> float:
        """Learn from all images once; gives the mean loss."""
        for group in optimiser.param_groups:
            group["lr"] = rate
        learner.train()
        losses = torch.zeros(len(batches), device=self.feeder.device)
        for step, (codes, labels) in enumerate(batches.epoch(stage_seed(self.seed, stage, epoch))):
            loss = objective(codes, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses[step] = loss.detach()  # a copy: one that stays splits the memory that its batch lay in
            log.seen(batches.batch)
        learner.eval()
        average = mean(float(losses.mean()), self.feeder.device)
        if not math.isfinite(average):
            raise UserError(
                f"the loss of stage {stage} must stay a number, not {average}; lower its learning_rate"
            )
        return average

    def _restore(self, optimiser: torch.optim.Optimizer) -> None:
        """Give Adam the state of the checkpoint, once."""
        state, self.optimiser_state = self.optimiser_state, {}
        if not state:
            return
        parameters = [one for group in optimiser.param_groups for one in group["params"]]
        for index, one in state.items():
            shapes = {name: value.shape for name, value in one.items()}
            whole = parameters[index].shape if 0 <= index < len(parameters) else None
            if shapes != {"step": torch.Size(), "exp_avg": whole, "exp_avg_sq": whole}:
                raise self.checkpoint.refused(f"its optimiser's state {index} fits no parameter")
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})

    def _finish(self, stage: str) -> None:
        self.progress.done.append(stage)
        self.progress.epochs = 0
        self._save(None)

    def _save(self, optimiser: torch.optim.Optimizer | None) -> None:
        if rank() == 0:
            self.progress.records, self.progress.warnings = self.journal.records, self.journal.warnings
            self.checkpoint.write(self.progress, self.networks, optimiser)


def stage_seed(seed: int, stage: str, epoch: int = 0) -> int:
    """The start of an epoch's random numbers, 0 .. 2^63 - 1: nothing else needs to be remembered of them."""
    digest = hashlib.sha256(f"{seed}/{stage}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
