"""The cache of decoded pictures: decoded once, never trusted, never half."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codegen.errors import UserError
from model.data import _cache as cache
from model.data import fingerprint
from model.recipe import Data, Source
from tests.model.data.pictures import IMAGES, SIDE, held_out, noise, pictures

ROOT = Path(__file__).parents[3]


def file(kept: Path) -> Path:
    """The images in the cache."""
    (found,) = kept.glob("pictures-*/images.npy")
    return found


def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache, "decoded", fail)


def test_pictures_are_decoded_once(tree: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pictures(tree)
    assert np.load(file(kept)).shape == (13, SIDE, SIDE, 3)
    no_decoding(monkeypatch)
    again = pictures(tree)
    assert np.array_equal(again.train.images, first.train.images)
    assert np.array_equal(again.test.labels, first.test.labels)


def test_whatever_changes_the_images_decodes_anew(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tree)
    no_decoding(monkeypatch)
    os.utime(tree / "train/cat/00.png", ns=(7, 7))
    for side, channels, validation in ((SIDE, 3, 3), (7, 3, 3), (SIDE, 1, 3), (SIDE, 3, 2)):
        with pytest.raises(AssertionError, match="decoded again"):
            pictures(tree, side, channels, validation)


def test_caches_of_several_recipes_live_side_by_side(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ((SIDE, 3, 3), (7, 3, 3), (SIDE, 1, 3), (SIDE, 3, 2))
    first = [np.array(pictures(tree, *setting).train.images) for setting in settings]
    no_decoding(monkeypatch)
    for setting, images in zip(settings, first, strict=True):
        assert np.array_equal(pictures(tree, *setting).train.images, images)


def longer(path: Path) -> None:
    """One byte more, and as old as it was."""
    old = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes() + b"x")
    os.utime(path, ns=(old, old))


def test_the_fingerprint_changes_with_the_pictures(tree: Path) -> None:
    last = tree / "test/eel/12.png"
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: os.utime(tree / "train/cat/00.png", ns=(7, 7)),
        lambda: longer(tree / "train/cat/00.png"),
        lambda: longer(last),
        lambda: last.rename(last.with_name("13.png")),
        lambda: shutil.copy(last.with_name("13.png"), last),
        lambda: last.rename(tree / "train/eel/12.png"),
    ]
    prints = [fingerprint(IMAGES, 7, tree), fingerprint(Data(Source.IMAGES, 2), SIDE, tree)]
    for change in changes:
        change()
        prints.append(fingerprint(IMAGES, SIDE, tree))
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    "damage",
    [
        lambda images: images.write_bytes(images.read_bytes()[:-1]),
        lambda images: images.write_bytes(b""),
        lambda images: images.write_bytes(b"PK\x03\x04 no array"),
        lambda images: images.write_bytes(images.read_bytes().replace(b"}", b"{", 1)),
        lambda images: images.write_bytes(pickle.dumps([1, 2])),
        lambda images: np.save(images, np.array([object()] * 9), allow_pickle=True),
        lambda images: images.unlink(),
        lambda images: images.with_name("stamp.json").unlink(),
        lambda images: images.with_name("stamp.json").write_text("{}"),
    ],
)
def test_a_damaged_cache_is_made_anew(tree: Path, kept: Path, damage: Callable[[Path], object]) -> None:
    first = np.array(pictures(tree).test.images)
    damage(file(kept))
    assert np.array_equal(pictures(tree).test.images, first)
    assert np.load(file(kept)).shape == (13, SIDE, SIDE, 3)


def test_ctrl_c_leaves_nothing(tree: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cache, "decoded", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pictures(tree)
    assert not kept.exists()
    assert np.array_equal(held_out(tree), noise(9))


KILLED = """
import os, sys
from pathlib import Path
from model.data import _cache, read
from model.recipe import Data, Source
decode = _cache.decoded
_cache.decoded = lambda path, *rest: os._exit(9) if path.name == "11.png" else decode(path, *rest)
read(Data(Source.IMAGES, 3), 6, 3, 3, Path(sys.argv[1]))
"""


def test_what_a_killed_process_leaves_is_not_trusted(tree: Path, kept: Path) -> None:
    child = [sys.executable, "-c", KILLED, str(tree)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(child, env=environment, capture_output=True, check=False).returncode == 9
    assert any(".scratch-0" in path.name for path in kept.iterdir())
    assert np.array_equal(pictures(tree).test.images, [noise(seed) for seed in (9, 10, 11, 12)])
    assert [*kept.iterdir()] == [file(kept).parent]


def test_two_processes_do_not_decode_at_once(tree: Path, kept: Path) -> None:
    child = [sys.executable, "-c", KILLED.replace('"11.png"', '"none"'), str(tree)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(child, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 3
    assert sum("decoding 13 pictures once" in one for one in said) == 1


def test_progress_goes_to_stderr(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tree)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "decoding 13 pictures once" in shown.err


@pytest.mark.parametrize("value", ["", "relative/folder", None])
def test_without_a_cache_folder_of_its_own_it_is_in_the_home(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    pictures(tree)
    assert len(list((tmp_path / "home/.cache/intandem").glob("pictures-*/images.npy"))) == 1


def test_a_cache_folder_that_cannot_be_made_is_named(tree: Path, kept: Path) -> None:
    kept.parent.write_text("a file")
    with pytest.raises(UserError) as error:
        pictures(tree)
    assert str(error.value) == (
        f"decoded pictures must be kept in '{kept}', but: Not a directory; mend that or set XDG_CACHE_HOME "
        "to another folder"
    )


def test_a_full_disk_is_told_before_decoding(tree: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 13 * SIDE * SIDE * 3
    for free, fits in ((needed - 1, False), (needed, True)):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path, free=free: shutil._ntuple_diskusage(0, 0, free)
        )
        if fits:
            assert len(pictures(tree).test) == 4
        else:
            with pytest.raises(
                UserError, match=rf"^decoded pictures take 0.0 GB, but '{kept}' has 0.0 GB left; m"
            ):
                pictures(tree)
