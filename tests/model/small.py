"""Small networks for tests, and teachers as training leaves them."""

import torch

from model.networks import Topology, topology
from model.recipe import Architecture, Bits, Network, Scale, Schedule, Student
from model.teacher import Teacher

BITS = Bits(weights=4, edge_weights=8, activations=4, input=4)
LAYERS = topology(Network(Architecture.DIGITS), BITS)
SCHEDULE = Schedule(epochs=1, batch=32, learning_rate=0.001)

SMALL = [
    Network(Architecture.DIGITS),
    Network(Architecture.LENET, width=0.5, size=20),
    Network(Architecture.VGG_SMALL, width=1 / 32, size=16),
    Network(Architecture.ALEXNET, classes=7, width=1 / 64, size=70),
    Network(Architecture.RESNET18, classes=5, width=1 / 16, size=32),
    Network(Architecture.RESNET18, classes=5, width=1 / 16, size=66),
]
"""Every architecture, narrow."""


def options(scale: Scale = Scale.CHANNEL, fraction: int = 8, **others: object) -> Student:
    return Student(scale, fraction, SCHEDULE, **others)  # type: ignore[arg-type]


def images(layers: Topology, count: int, seed: int = 9) -> torch.Tensor:
    """Random codes (N, C, H, W)."""
    height, width, channels = layers.image
    random = torch.Generator().manual_seed(seed)
    shape = (count, channels, height, width)
    return torch.randint(0, 2**layers.input_bits, shape, generator=random).float()


def teacher_of(layers: Topology, seed: int = 0) -> Teacher:
    """An untrained teacher with batch norms as training leaves them: any statistics, some gains negative."""
    random = torch.Generator().manual_seed(seed)
    teacher = Teacher(layers, random)
    with torch.no_grad():
        teacher.train()(images(layers, 60))
        for layer in layers.layers[:-1]:
            norm = teacher.layer(layer.name).norm
            assert norm is not None
            norm.weight.copy_(torch.randn(norm.weight.shape, generator=random))
            norm.bias.copy_(torch.rand(norm.bias.shape, generator=random))
    return teacher.eval().requires_grad_(False)
