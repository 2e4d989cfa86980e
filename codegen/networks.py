"""Which network a name or a path stands for, and the images to show it."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codegen.ir import IntegerNetwork, TestSet, UserError, load, load_test_set

__all__ = ["RUNS", "Source", "find_network"]

RUNS = Path("runs")
"""Where training leaves its networks: ``runs/<recipe>/network.safetensors``, with ``test.safetensors``
beside it."""

_RANDOM_IMAGES = 64


@dataclass(frozen=True)
class Source:
    """A network, the name that its build gets, and its held-out images if there are any."""

    name: str
    path: Path
    network: IntegerNetwork
    test_set: TestSet | None

    def images(self, count: int | None) -> NDArray[np.uint8]:
        """``count`` images (count, *input shape) as codes, or all: held-out ones, or seeded random ones if
        there are none.

        Raises ``UserError`` if there are fewer.
        """
        images = self.test_set.images if self.test_set is not None else _random_images(self.network)
        if count is None:
            return images
        if not 1 <= count <= len(images):
            raise UserError(
                f"images must be 1 to {len(images)}, as many as {self.path.parent} has, not {count}"
            )
        return images[:count]


def find_network(name: str) -> Source:
    """The network of a file, of a folder that training wrote, or of the recipe with this name.

    Raises ``UserError`` saying where it looked, and the nearest name there is.
    """
    for path in (Path(name), Path(name) / "network.safetensors", RUNS / name / "network.safetensors"):
        if path.is_file():
            return _source(name, path)
    trained = sorted(path.parent.name for path in RUNS.glob("*/network.safetensors"))
    near = difflib.get_close_matches(name, trained, n=1)
    hint = f"did you mean '{near[0]}'" if near else f"train it first: python -m model train {name}"
    raise UserError(
        f"network must be a file or a trained recipe, not '{name}', of which there is no "
        f"{RUNS / name / 'network.safetensors'}; {hint}"
    )


def _source(name: str, path: Path) -> Source:
    network = load(path)
    beside = path.with_name("test.safetensors")
    test_set = load_test_set(beside) if beside.is_file() else None
    if test_set is not None and test_set.images.shape[1:] != network.input.shape:
        raise UserError(
            f"{beside} must hold images of shape {network.input.shape}, not {test_set.images.shape[1:]}; "
            f"it belongs to another network"
        )
    return Source(network.name, path, network, test_set)


def _random_images(network: IntegerNetwork) -> NDArray[np.uint8]:
    generator = np.random.default_rng(0)
    shape = (_RANDOM_IMAGES, *network.input.shape)
    return generator.integers(network.input.low, network.input.high + 1, shape).astype(np.uint8)
