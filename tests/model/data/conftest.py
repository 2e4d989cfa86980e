"""A folder of pictures, and a cache folder for each test."""

from pathlib import Path

import pytest
from PIL import Image

from tests.model.data.pictures import TREE, noise


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "intandem"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of PNG pictures, each of them noise of its own."""
    root = tmp_path / "data"
    for seed, name in enumerate(name for part, count in TREE.items() for name in [part] * count):
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(seed)).save(root / name / f"{seed:02}.png")
    return root
