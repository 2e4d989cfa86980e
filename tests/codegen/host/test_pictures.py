"""Picture files as codes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codegen.errors import UserError
from codegen.host.identity import Identity
from codegen.host.pictures import is_picture, read_picture

GREY = Identity("grey", 2, 3, 1, 15, 10, 2, True)
COLOUR = Identity("colour", 4, 4, 3, 255, 10, 2, True)


def test_levels_become_codes_of_the_boards_range(tmp_path: Path) -> None:
    levels = np.array([[0, 8, 9], [127, 246, 255]], dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    codes = read_picture(tmp_path / "a.png", GREY)
    assert (codes.shape, codes.dtype) == ((2, 3, 1), np.uint8)
    assert codes[..., 0].tolist() == [[0, 0, 1], [7, 14, 15]]


def test_pictures_are_made_as_large_as_the_board_reads(tmp_path: Path) -> None:
    quarter = np.zeros((8, 8, 3), dtype=np.uint8)
    quarter[:4, :4] = (200, 100, 50)
    Image.fromarray(quarter).save(tmp_path / "a.png")
    codes = read_picture(tmp_path / "a.png", COLOUR)
    assert codes.shape == (4, 4, 3)
    assert (codes[:2, :2] == [200, 100, 50]).all() and not codes[2:].any() and not codes[:, 2:].any()


def test_words_for_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(UserError, match=r"a\.png must be a picture that Pillow can read; cannot identify"):
        read_picture(tmp_path / "a.png", GREY)
    with pytest.raises(UserError, match="must read one channel or three to be shown a picture, not 2"):
        read_picture(tmp_path / "a.png", Identity("two", 1, 1, 2, 255, 2, 1, True))


def test_files_are_pictures_by_their_names(tmp_path: Path) -> None:
    for name in ("a.png", "b.JPG", "network.safetensors"):
        (tmp_path / name).touch()
    names = ("a.png", "b.JPG", "network.safetensors", "missing.png")
    assert [is_picture(tmp_path / name) for name in names] == [True, True, False, False]
