"""One training run, as a straight line: data, float network, teacher, student, integer network."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codegen.errors import UserError
from codegen.files import Range
from codegen.ir import IntegerNetwork, Provenance, TestSet, spread
from model.batches import to_codes
from model.checkpoint import Checkpoint, Progress
from model.data import Dataset, Images, read
from model.distributed import processes, rank
from model.export import count_equal, export
from model.health import EXAMINED, MOST_LOST, LayerHealth, examine, health
from model.journal import Journal
from model.layered import Layered
from model.networks import Layer, image_shape, topology
from model.recipe import Method, Recipe, Schedule
from model.record import Changed, Score
from model.student import Student
from model.tandem import Imitation, Labels, Together, initialise
from model.teacher import Teacher
from model.tensors import read_tensors, tensors_file
from model.training import Feeder, Trainer, stage_seed

CALIBRATED_ON = 2000  # images for stage 1's least squares
KEPT_BYTES = 2**26  # of held-out images beside the network, for simulation and evaluation
TEACHER_KEY = "intandem_teacher"


@dataclass(frozen=True)
class Settings:
    """What decides how a run goes, not what it gives, but for the teacher.

    `folder` holds the checkpoint (None: there is none), `teacher` is a file of an earlier run to learn from.
    """

    folder: Path | None = None
    resume: bool = False
    device: str = "cpu"
    threads: int = 1
    teacher: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run gives, in memory."""

    teacher: Teacher
    student: Student
    network: IntegerNetwork
    dataset: Dataset
    test_set: TestSet
    score: Score
    changed: Changed
    health: list[LayerHealth]
    seconds: dict[str, float]
    """Time of each stage; "check" is that of the integer network over all held-out images."""


def train(
    recipe: Recipe, seed: int, data: Path | None, journal: Journal, settings: Settings, digest: str = ""
) -> Outcome | None:
    """Train by the recipe; the same recipe, seed and data give the same network on the same machine.

    `data` is the folder of the data set. Gives None in all processes but the first. Raises UserError
    for broken data, and AssertionError if the exported network is not equal to the student on every
    held-out image.
    """
    size, _, channels = image_shape(recipe.network)
    with processes(settings.device) as device, _deterministic(device, settings.threads):
        dataset = read(recipe.data, recipe.data.side or size, channels, recipe.network.classes, data)
        run = _Run(recipe, seed, dataset, Feeder(recipe.data, size, recipe.bits.input, device), journal)
        run.prepare(Checkpoint(settings.folder), digest, settings)
        run.teach()
        run.imitate()
        return run.finish()


class _Run:
    """The stages of one run, which share their recipe, images, networks and journal."""

    def __init__(self, recipe: Recipe, seed: int, dataset: Dataset, feeder: Feeder, journal: Journal) -> None:
        self.recipe, self.seed, self.dataset = recipe, seed, dataset
        self.feeder, self.journal = feeder, journal
        layers = topology(recipe.network, recipe.bits)
        self.teacher = Teacher(layers, torch.Generator().manual_seed(stage_seed(seed, "weights")))
        self.student = Student(layers, recipe.student)
        self.networks = nn.ModuleDict({"teacher": self.teacher, "student": self.student})
        self.networks.to(feeder.device).eval().requires_grad_(False)

    def prepare(self, checkpoint: Checkpoint, digest: str, settings: Settings) -> None:
        """Start anew, from the checkpoint, or behind the teacher of another run."""
        train, progress = self.dataset.train, Progress(digest)
        self.trainer = Trainer(
            self.networks, self.feeder, train, self.seed, self.journal, checkpoint, progress
        )
        if settings.resume:
            self.trainer.resume()
        elif settings.teacher is not None:
            told = load_teacher(self.teacher, settings.teacher)
            progress.counts = told.counts if told.dataset == self.dataset.description else {}
            progress.done = ["float", "teacher"]

    def teach(self) -> None:
        """The float network, then the teacher, which is frozen after it."""
        float_epochs, schedule = self.recipe.teacher.float_epochs, self.recipe.teacher.schedule
        loss = Labels(self.teacher)
        if float_epochs and "teacher" not in self.trainer.progress.done:
            self.teacher.set_quantised(False)
            self._fit("float", self.teacher, loss, replace(schedule, epochs=float_epochs), self.teacher)
            self._count("float", self.teacher)
        self.teacher.set_quantised(True)
        self._fit("teacher", self.teacher, loss, schedule, self.teacher)
        self._count("teacher", self.teacher)
        self.trainer.once("examine teacher", lambda: self._examine("teacher", self.teacher))

    def imitate(self) -> None:
        """Stage 1, then stage 2 by the recipe's method."""
        options = self.recipe.student
        self.trainer.once("initialise", lambda: self._initialise(self.student))
        self._count("initial", self.student)
        if options.method is Method.PROGRESSIVE:
            for layer in self.student.topology.layers:
                self._layer(layer)
        else:
            together = Together(self.student, self.teacher, options)
            loss = together if options.method is Method.TOGETHER else Labels(self.student)
            self._fit("student", self.student, loss, options.schedule, self.student)
            self.trainer.once("examine student", lambda: self._examine("student", self.student))
        self._count("student", self.student)

    def finish(self) -> Outcome | None:
        """Export, and check that the integer network is the student, on the CPU, in the first process."""
        if rank():
            return None
        changed = self._changed()
        self.networks.cpu()
        feeder = replace(self.feeder, device=torch.device("cpu"))
        counts, test = self.trainer.progress.counts, self.dataset.test
        provenance = Provenance(
            self.recipe.name, self.seed, self.dataset.description, len(test), counts["teacher"],
            counts["student"], float_correct=counts.get("float"),
        )  # fmt: skip
        classes = tuple((name if name.isprintable() else repr(name))[:200] for name in self.dataset.classes)
        network = export(self.student, self.recipe.name, provenance, classes, self.recipe.data.side)
        start = time.monotonic()
        with self.journal.steps("check", len(test)) as seen:
            correct = count_equal(self.student, network, feeder.plain(test), seen)
        seconds = {**self.trainer.progress.seconds, "check": time.monotonic() - start}
        score = Score(
            len(test), counts.get("float"), counts["teacher"], counts["initial"], counts["student"], correct
        )
        test_set = self._kept(test, feeder, classes)
        watched = self.dataset.validation[np.arange(min(EXAMINED, len(self.dataset.validation)))]
        return Outcome(
            self.teacher,
            self.student,
            network,
            self.dataset,
            test_set,
            score,
            changed,
            examine(network, self._codes(watched)),
            seconds,
        )

    def _initialise(self, student: Student) -> None:
        """Stage 1, the same whenever it is asked for."""
        images = [codes for codes, _ in self.feeder.plain(self.dataset.train, CALIBRATED_ON)]
        generator = torch.Generator(self.feeder.device).manual_seed(stage_seed(self.seed, "initialise"))
        initialise(student, self.teacher, images, self.recipe.student, generator)

    @torch.no_grad()
    def _changed(self) -> Changed:
        """What stage 2 made of the weights of stage 1, which is done once more for that."""
        first, names = Student(self.student.topology, self.recipe.student), self.student.topology.layers[:-1]
        self._initialise(first.to(self.feeder.device))
        pairs = [(first.layer(one.name).weights(), self.student.layer(one.name).weights()) for one in names]
        changed = sum(int((before != after).sum()) for before, after in pairs)
        return Changed(changed, sum(before.numel() for before, _ in pairs))

    def _layer(self, layer: Layer) -> None:
        """Stage 2 of one layer; watched is what the teacher makes of the student so far."""

        def hybrid(codes: Tensor) -> Tensor:
            own, _ = self.student.pause(codes, layer.name)
            output = self.student.layer(layer.name)(own)
            _, resume = self.teacher.pause(codes, layer.name)
            return output if layer.activation_bits is None else resume(output)

        module, options = self.student.layer(layer.name), self.recipe.student
        loss = Imitation(self.student, self.teacher, layer, options)
        self._fit(f"student {layer.name}", module, loss, options.schedule, hybrid)
        self.trainer.once(f"examine {layer.name}", lambda: self._examine_layer(layer, hybrid))

    def _fit(
        self,
        stage: str,
        learner: nn.Module,
        loss: nn.Module,
        schedule: Schedule,
        watched: Callable[[Tensor], Tensor],
    ) -> None:
        self.trainer.fit(stage, learner, loss, schedule, lambda: self._accuracy(watched))

    def _accuracy(self, network: Callable[[Tensor], Tensor]) -> float:
        """The share of the images that are only watched which the network puts into their class."""
        watched = self.dataset.validation
        return self.feeder.count_correct(network, watched) / len(watched)

    def _count(self, name: str, network: Layered) -> None:
        self.trainer.count(name, network, self.dataset.test)

    def _examine_layer(self, layer: Layer, hybrid: Callable[[Tensor], Tensor]) -> None:
        """Warn if the layer gives next to one code only, or if the teacher makes much less of it than of its
        own."""
        if layer.activation_bits is not None:
            self._warn_of_collapse("student", self.student, [layer])
        lost = self._accuracy(self.teacher) - self._accuracy(hybrid)
        if lost > MOST_LOST:
            self.journal.warn(f"layer {layer.name} of the student costs {100 * lost:.1f} points of accuracy")

    def _examine(self, name: str, network: Layered) -> None:
        """Warn of every layer that gives next to one code only."""
        self._warn_of_collapse(name, network, network.topology.layers[:-1])

    @torch.no_grad()
    def _warn_of_collapse(self, name: str, network: Layered, layers: Sequence[Layer]) -> None:
        codes = torch.cat([codes for codes, _ in self.feeder.plain(self.dataset.validation, EXAMINED)])
        for layer in layers:
            assert layer.activation_bits is not None, "only the classifier has no codes"
            x, _ = network.pause(codes, layer.name)
            given = network.layers[layer.name](x).movedim(1, -1).cpu().numpy()
            for sentence in health(layer.name, given, layer.activation_bits).collapse():
                self.journal.warn(f"{name}: {sentence}")

    def _kept(self, test: Images, feeder: Feeder, classes: tuple[str, ...]) -> TestSet:
        """As many of the held-out images as fit, of each class its share, and the teacher's answers."""
        most = KEPT_BYTES // math.prod(self.student.topology.image)
        some = test[np.sort(spread(test.labels)[:most])]
        with torch.no_grad():
            said = [self.teacher(codes).argmax(1).numpy() for codes, _ in feeder.plain(some)]
        return TestSet(self._codes(some), some.labels, classes, {"teacher": np.concatenate(said)})

    def _codes(self, images: Images) -> NDArray[np.uint8]:
        """Images as the network reads them."""
        return to_codes(images.images, self.feeder.size, self.feeder.input_bits)


@dataclass(frozen=True)
class TeacherCounts:
    """How many of the held-out images of a data set a teacher and its float network got right."""

    dataset: str
    counts: dict[str, Annotated[int, Range(0, 1 << 31)]]


def save_teacher(outcome: Outcome) -> bytes:
    """The teacher of a run as a safetensors file, from which other students can learn."""
    score = outcome.score
    counts = {"teacher": score.teacher} | ({} if score.float is None else {"float": score.float})
    told = TeacherCounts(outcome.dataset.description, counts)
    return tensors_file(outcome.teacher.state_dict(), TEACHER_KEY, told)


def load_teacher(teacher: Teacher, path: Path) -> TeacherCounts:
    """Fill the teacher from a file; gives what it and its float network got right.

    Raises UserError if the file is not that of a teacher of the same network.
    """
    try:
        tensors, told = read_tensors(path, TEACHER_KEY, TeacherCounts)
        teacher.load_state_dict(tensors)
    except (UserError, RuntimeError) as error:
        raise UserError(
            f"'{path}' must be the teacher.safetensors of a run with the same network and bits, but: {error}"
        ) from error
    return told


@contextmanager
def _deterministic(device: torch.device, threads: int) -> Iterator[None]:
    """A fixed number of threads, on which the order of float sums depends, and no algorithm that may vary."""
    before, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch asks for on a GPU
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict)
