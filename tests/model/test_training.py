"""The training loop takes no more memory from one batch to the next."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATM = Path("/proc/self/statm")
BATCHES, WARM = 60, 10

SCRIPT = """
import sys
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from model.checkpoint import Checkpoint, Progress
from model.data import Images
from model.journal import Journal
from model.networks import topology
from model.recipe import Schedule, load
from model.student import Student
from model.tandem import Imitation
from model.teacher import Teacher
from model.training import Feeder, Trainer

folder, batches = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
recipe = load("vgg_small_quarter_w4a4")
layers = topology(recipe.network, recipe.bits)
networks = torch.nn.ModuleDict(
    {"teacher": Teacher(layers, torch.Generator().manual_seed(0)), "student": Student(layers, recipe.student)}
)
networks.eval().requires_grad_(False)
random = np.random.default_rng(0)
count = 100 * batches
train = Images(random.integers(0, 256, (count, 32, 32, 3), np.uint8), random.integers(0, 10, count))
feeder = Feeder(recipe.data, 32, recipe.bits.input, torch.device("cpu"))


class Watched(Imitation):
    def forward(self, codes, labels):
        print(int(Path("/proc/self/statm").read_text().split()[1]))
        return super().forward(codes, labels)


loss = Watched(networks["student"], networks["teacher"], layers.layers[0], recipe.student)
journal = Journal(Console(quiet=True))
trainer = Trainer(networks, feeder, train, 0, journal, Checkpoint(folder), Progress("none"))
learner = networks["student"].layer(layers.layers[0].name)
trainer.fit("student conv1", learner, loss, Schedule(1, 100, 0.0003), lambda: 0.0)
"""


@pytest.mark.skipif(not STATM.exists(), reason="the memory of a process is read as Linux tells it")
def test_memory_does_not_grow_with_batches(tmp_path: Path) -> None:
    """A loss that was kept from every batch once took 15 MB of each: its small block split the heap."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(BATCHES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = [int(line) for line in done.stdout.split()]
    assert len(pages) == BATCHES
    megabytes = (max(pages[WARM:]) - max(pages[:WARM])) * 4096 / 1e6
    assert megabytes < 250, f"{megabytes:.0f} MB more after {BATCHES} batches than after {WARM}"
