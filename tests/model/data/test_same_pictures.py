"""A board is shown what training saw: the same codes of the same picture, whatever it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codegen.host.cli import read_picture
from codegen.host.identity import Identity
from codegen.pictures import without_warnings
from model.batches import to_codes
from model.data import read
from model.journal import Journal
from model.recipe import Data, Recipe, Source
from model.run import Settings, train
from tests.model.data.pictures import held_out, noise


@pytest.mark.parametrize(("bits", "channels"), [(8, 3), (4, 3), (4, 1)])
@pytest.mark.parametrize("cut", [None, 9])
@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (50, 31), (7, 90), (9, 12), (3, 4)])
def test_training_and_host_see_the_same_codes(
    rows: int, columns: int, cut: int | None, bits: int, channels: int, tree: Path
) -> None:
    path = tree / "test/cat/09.png"
    Image.fromarray(noise(rows, rows, columns)).convert("P").save(path, transparency=bytes(range(9)))
    trained = to_codes(held_out(tree, cut or 6, channels)[None], 6, bits)[0]
    identity = Identity("one", 6, 6, channels, 2**bits - 1, 3, 2, True, side=cut)
    with without_warnings():
        assert np.array_equal(read_picture(path, identity), trained)


def test_class_names_go_with_the_network_and_its_images(short: Recipe, tree: Path, journal: Journal) -> None:
    for part in ("train", "test"):
        (tree / part / "eel").rename(tree / part / "ae\nl")
        for seed in range(80):
            Image.fromarray(noise(100 + seed)).save(tree / part / "cat" / f"{seed}.png")
    data = Data(Source.IMAGES, 3, side=9)
    recipe = replace(short, data=data, network=replace(short.network, classes=3))
    outcome = train(recipe, 0, tree, journal, Settings())
    assert outcome is not None
    assert read(data, 9, 1, 3, tree).classes == ("ae\nl", "cat", "dog")
    assert outcome.network.classes == outcome.test_set.classes == ("'ae\\nl'", "cat", "dog")
    assert outcome.network.side == 9
