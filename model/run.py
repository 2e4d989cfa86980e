"""One training run, as a straight line: data, float network, teacher, student, integer network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from codegen.ir import IntegerNetwork, Provenance, TestSet
from model.batches import Batches, to_tensor
from model.data import Dataset, digits
from model.export import check_equal, export
from model.health import LayerHealth, examine
from model.journal import Journal
from model.networks import topology
from model.recipe import Recipe, Schedule
from model.student import Student
from model.tandem import imitation, initialise
from model.teacher import Teacher
from model.training import Loss, count_correct, fit


@dataclass(frozen=True)
class Score:
    """How many of the held-out images each step got right; `initial` is the student after stage 1."""

    images: int
    float: int | None
    teacher: int
    initial: int
    student: int
    network: int


@dataclass(frozen=True)
class Outcome:
    """What a run gives, in memory."""

    teacher: Teacher
    student: Student
    network: IntegerNetwork
    dataset: Dataset
    score: Score
    health: list[LayerHealth]
    seconds: float

    @property
    def test_set(self) -> TestSet:
        """The held-out images and their labels."""
        return TestSet(self.dataset.test.images, self.dataset.test.labels)


def train(recipe: Recipe, seed: int, data: Path | None, journal: Journal) -> Outcome:
    """Train by the recipe; the same recipe, seed and data give the same network on the same machine.

    `data` is the folder of the data set, None for the installed copy. Raises UserError for broken data, and
    AssertionError if the exported network is not equal to the student on every held-out image.
    """
    start = time.monotonic()
    dataset = digits(data, recipe.bits.input, recipe.data.validation)
    images, labels = dataset.test.images, dataset.test.labels
    with _deterministic():
        run = _Run(recipe, dataset, torch.Generator().manual_seed(seed), journal)
        teacher, float_correct = run.teacher()
        student = Student(
            topology(recipe.network, recipe.bits), recipe.student.scale, recipe.student.fraction
        )
        initialise(student, teacher, to_tensor(dataset.train.images), recipe.student.scale)
        initial_correct = count_correct(student, dataset.test)
        run.tandem(student, teacher)
        correct = count_correct(teacher, dataset.test), count_correct(student, dataset.test)
        provenance = Provenance(
            recipe.name, seed, dataset.description, len(labels), *correct, float_correct=float_correct
        )
        network = export(student, recipe.name, provenance)
        check_equal(student, network, images)
    network_correct = int((network.run(images) == labels).sum())
    score = Score(len(labels), float_correct, correct[0], initial_correct, correct[1], network_correct)
    health = examine(network, dataset.train.images)
    return Outcome(teacher, student, network, dataset, score, health, time.monotonic() - start)


@dataclass(frozen=True)
class _Run:
    """The trainings of one run, which share their recipe, images, random numbers and journal."""

    recipe: Recipe
    dataset: Dataset
    generator: torch.Generator
    journal: Journal

    def teacher(self) -> tuple[Teacher, int | None]:
        """The frozen teacher, and the score of the float network it started from, if the recipe has one."""
        teacher = Teacher(topology(self.recipe.network, self.recipe.bits), self.generator)
        schedule, float_correct = self.recipe.teacher.schedule, None

        def loss(codes: Tensor, labels: Tensor) -> Tensor:
            return functional.cross_entropy(teacher(codes), labels)

        if self.recipe.teacher.float_epochs:
            teacher.quantised = False
            self._fit(
                "float", teacher, teacher, loss, replace(schedule, epochs=self.recipe.teacher.float_epochs)
            )
            float_correct = count_correct(teacher, self.dataset.test)
            teacher.quantised = True
        self._fit("teacher", teacher, teacher, loss, schedule)
        return teacher.eval().requires_grad_(False), float_correct

    def tandem(self, student: Student, teacher: Teacher) -> None:
        """Stage 2: one layer after another, each fed by the finished ones before it."""
        for depth, layer in enumerate([*student.convs, student.classifier]):
            loss = imitation(student, teacher, depth, self.recipe.student.target)
            name = student.topology.names[depth]
            self._fit(f"student {name}", layer, student, loss, self.recipe.student.schedule)

    def _fit(
        self, stage: str, trained: nn.Module, network: nn.Module, loss: Loss, schedule: Schedule
    ) -> None:
        """Fit the parameters of `trained`, a part of `network`, whose validation accuracy is watched."""
        watched = self.dataset.validation
        bits = self.recipe.bits.input
        batches = Batches(self.dataset.train, schedule.batch, self.recipe.data, bits, self.generator)

        def accuracy() -> float:
            return count_correct(network, watched) / len(watched)

        fit(stage, trained.parameters(), loss, batches, schedule, accuracy, self.journal)


@contextmanager
def _deterministic() -> Iterator[None]:
    """One thread, since the order of float sums depends on their number, and no algorithm that may vary."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
