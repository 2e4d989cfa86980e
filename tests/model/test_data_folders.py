"""Pictures in folders: what becomes of each, what is refused, and the cache of decoded ones."""

import fcntl
import os
import pickle
import shutil
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codegen.ir import UserError
from model.data import Dataset, fingerprint, read
from model.data import _cache as cache
from model.recipe import Data, Source

ROOT = Path(__file__).parents[2]
IMAGES = Data(Source.IMAGES, 3)
SIDE = 6
TREE = {"train/cat": 4, "train/dog": 3, "train/eel": 2, "test/cat": 1, "test/dog": 2, "test/eel": 1}


def noise(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


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


def pictures(root: Path, side: int = SIDE, channels: int = 3, validation: int = 3) -> Dataset:
    return read(Data(Source.IMAGES, validation), side, channels, 3, root)


def held_out(root: Path, side: int = SIDE, channels: int = 3) -> np.ndarray:
    """What became of the only picture in test/cat."""
    return pictures(root, side, channels).test.images[0]


def put(root: Path, picture: Image.Image, ending: str = "png") -> None:
    """Another picture instead of that."""
    (root / "test/cat/09.png").unlink()
    picture.save(root / f"test/cat/picture.{ending}")


def test_every_picture_is_in_its_part_with_its_class(tree: Path) -> None:
    dataset = pictures(tree)
    assert dataset.classes == ("cat", "dog", "eel")
    assert dataset.description == (
        "data from PNG pictures, 6x6, 6 training, 3 validation, 4 test, stratified, split seed 0"
    )
    assert np.array_equal(dataset.test.images, [noise(seed) for seed in (9, 10, 11, 12)])
    assert dataset.test.labels.tolist() == [0, 1, 1, 2]
    expected = {noise(seed).tobytes(): label for seed, label in enumerate([0] * 4 + [1] * 3 + [2] * 2)}
    training = [*zip(dataset.train.images, dataset.train.labels, strict=True)]
    training += zip(dataset.validation.images, dataset.validation.labels, strict=True)
    assert {image.tobytes(): label for image, label in training} == expected
    assert dataset.validation.labels.tolist() == [0, 1, 2]


def test_images_are_mapped_into_memory_and_cannot_be_changed(tree: Path) -> None:
    dataset = pictures(tree)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert isinstance(part.images, np.memmap) and not part.images.flags.writeable
        assert (part.images.dtype, part.labels.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize(("height", "width", "top", "left"), [(6, 11, 0, 2), (9, 6, 1, 0), (6, 6, 0, 0)])
def test_pixels_stay_where_the_short_side_fits(
    tree: Path, height: int, width: int, top: int, left: int
) -> None:
    put(tree, Image.fromarray(noise(77, height, width)))
    assert np.array_equal(held_out(tree), noise(77, height, width)[top : top + 6, left : left + 6])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("side", [10, 30, 45])
def test_of_another_size_the_middle_square_is_scaled(tree: Path, side: int, turned: bool) -> None:
    stripes = np.zeros((20, 60, 3), np.uint8)
    stripes[:, :20, 0] = stripes[:, 20:40, 1] = stripes[:, 40:, 2] = 255
    put(tree, Image.fromarray(stripes.transpose(1, 0, 2) if turned else stripes))
    seen = held_out(tree, side).transpose(1, 0, 2) if turned else held_out(tree, side)
    assert seen.shape == (side, side, 3)
    assert (seen[:, 4:-4] == [0, 255, 0]).all()
    assert (seen[:, 0, 1] > 128).all() and (seen[:, -1, 1] > 128).all()
    assert np.array_equal(seen[:, ::-1, ::-1], seen)


def test_a_picture_is_scaled_as_a_whole_and_then_cut(tree: Path) -> None:
    picture = Image.fromarray(noise(5, 24, 36))
    put(tree, picture)
    whole = np.asarray(picture.resize((18, 12), Image.Resampling.BICUBIC))
    assert np.array_equal(held_out(tree, 12), whole[:, 3:15])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_mode_becomes_colour_or_grey(tree: Path, mode: str, channels: int) -> None:
    picture = Image.fromarray(noise(5)).convert(mode)
    ending = "jpg" if mode == "CMYK" else "png"
    put(tree, picture, ending)
    with Image.open(tree / f"test/cat/picture.{ending}") as saved:
        expected = np.asarray(saved.convert("RGB" if channels == 3 else "L")).reshape(6, 6, channels)
    assert np.array_equal(held_out(tree, channels=channels), expected)


def test_odd_metadata_are_no_matter(tree: Path) -> None:
    picture = Image.fromarray(noise(5)).convert("P")
    put(tree, picture)
    picture.save(tree / "test/cat/picture.png", transparency=bytes(range(100)))  # of which Pillow warns
    assert held_out(tree).shape == (6, 6, 3)


def test_endings_of_any_case_are_pictures_and_nothing_else_is(tree: Path) -> None:
    for name in ("train/cat/notes.txt", "train/cat/._00.png", "train/cat/00.gif", "README"):
        (tree / name).write_bytes(b"no picture")
    (tree / "train/.hidden").mkdir()
    Image.fromarray(noise(5)).save(tree / "test/eel/A.JPEG", "JPEG")
    Image.fromarray(noise(6)).save(tree / "test/eel/B.Jpg", "JPEG")
    dataset = pictures(tree)
    assert dataset.test.labels.tolist() == [0, 1, 1, 2, 2, 2]
    assert dataset.description.startswith("data from JPEG and PNG pictures, 6x6, 6 training")


def test_val_is_held_out_where_test_has_no_classes(tree: Path) -> None:
    (tree / "test").rename(tree / "val")
    first = pictures(tree).test.images
    (tree / "test").mkdir()
    shutil.copy(tree / "val/cat/09.png", tree / "test/unlabelled.png")
    assert np.array_equal(pictures(tree).test.images, first)
    shutil.copytree(tree / "train", tree / "test", dirs_exist_ok=True)
    assert len(pictures(tree).test) == 9


def lose(part: str) -> Callable[[Path], None]:
    return lambda root: (root / part).unlink() if part.endswith(".png") else shutil.rmtree(root / part)


def dangle(root: Path) -> None:
    (root / "test/eel/x.png").symlink_to("nowhere")


def pipe(root: Path) -> None:
    os.mkfifo(root / "train/cat/pipe.png")


LAYOUT = (
    "^--data must be a folder with .* image-net.org after registration, and nothing is downloaded by its.*; "
)
FOLDERS = "/data/test' must have the same folders as '.*/data/train', but "


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose("train"), LAYOUT + "'.*/data' has no train/ with a folder per class$"),
        (lose("test"), LAYOUT + "'.*/data' has no test/ or val/ with a folder per class$"),
        (lose("."), LAYOUT + "'.*/data' is no folder that can be read$"),
        (lose("test/dog"), FOLDERS + r"'dog' is in one only \(1 such\); move the pictures$"),
        (lose("train/cat"), FOLDERS + r"'cat' is in one only \(1 such\); move the pictures$"),
        (
            lose("test/eel/12.png"),
            r"/test/eel' must have pictures \(.png, .jpg, .jpeg\), but has none; add some$",
        ),
        (dangle, "/test/eel/x.png' must be readable, but: No such file or directory; mend or remove it$"),
        (pipe, "/train/cat/pipe.png' must be a file; remove it or give it another ending$"),
    ],
)
def test_a_wrong_layout_is_refused(tree: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(tree)
    for use in (lambda: pictures(tree), lambda: fingerprint(IMAGES, SIDE, tree)):
        with pytest.raises(UserError, match=message):
            use()


def test_another_number_of_classes_is_refused(tree: Path) -> None:
    message = (
        "network.classes must be 3, the number of classes in the data, not 1000; set network.classes = 3"
    )
    with pytest.raises(UserError) as error:
        read(IMAGES, SIDE, 3, 1000, tree)
    assert str(error.value) == message


def png(width: int, height: int) -> bytes:
    """A picture of one bit a pixel that says it is this large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def saved(picture: Image.Image, kind: str, folder: Path) -> bytes:
    picture.save(folder / "saved", kind)
    return (folder / "saved").read_bytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda folder: b"", "it is neither"),
        (lambda folder: b"<html>", "it is neither"),
        (lambda folder: saved(Image.fromarray(noise(1)), "GIF", folder), "it is neither"),
        (lambda folder: saved(Image.fromarray(noise(1, 90, 90)), "JPEG", folder)[:-900], "truncated"),
        (lambda folder: saved(Image.fromarray(noise(1, 90, 90)), "PNG", folder)[:-9000], ""),
        (lambda folder: saved(Image.new("I;16", (9, 9)), "PNG", folder), "it has more than 8 bits a channel"),
        (lambda folder: png(9, 9).replace(b"\x11IDAT", b"\x03IDAT"), "broken PNG file"),
        (lambda folder: png(12_000, 9_000), "108000000 pixels"),
        (lambda folder: png(60_000, 60_000), "3600000000 pixels"),
    ],
)
def test_what_is_no_picture_is_named_and_nothing_kept(
    tree: Path, kept: Path, content: Callable[[Path], bytes], reason: str
) -> None:
    bad = tree / "train/dog/bad.png"
    bad.write_bytes(content(kept.parents[1]))
    with pytest.raises(UserError) as error:
        pictures(tree)
    assert str(error.value).startswith(f"'{bad}' must be a whole PNG or JPEG picture, but: ")
    assert reason in str(error.value)
    assert str(error.value).endswith("; remove it")
    assert [path.suffix for path in kept.iterdir()] == [".lock"]


def files(kept: Path) -> tuple[Path, Path]:
    """The images and the labels in the cache."""
    labels = next(kept.glob("*.labels.npy"))
    return kept / labels.name.replace(".labels", ""), labels


def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache, "decoded", fail)


def test_pictures_are_decoded_once(tree: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pictures(tree)
    images, labels = files(kept)
    assert np.load(images).shape == (13, SIDE, SIDE, 3)
    assert np.load(labels).tolist()[-4:] == [0, 1, 1, 2]
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
        lambda images, labels: images.write_bytes(images.read_bytes()[:-1]),
        lambda images, labels: images.write_bytes(b""),
        lambda images, labels: images.write_bytes(b"PK\x03\x04 no array"),
        lambda images, labels: images.write_bytes(images.read_bytes().replace(b"}", b"{", 1)),
        lambda images, labels: images.write_bytes(pickle.dumps([1, 2])),
        lambda images, labels: np.save(images, np.array([object()] * 9), allow_pickle=True),
        lambda images, labels: np.save(images, np.zeros((12, SIDE, SIDE, 3), np.uint8)),
        lambda images, labels: np.save(images, np.zeros((13, SIDE, SIDE, 3), np.int8)),
        lambda images, labels: np.save(images, np.zeros((13, SIDE, SIDE, 3), np.uint8, order="F")),
        lambda images, labels: images.unlink(),
        lambda images, labels: labels.unlink(),
        lambda images, labels: labels.write_bytes(labels.read_bytes()[:-1]),
        lambda images, labels: np.save(labels, np.zeros(13, np.int64)),
    ],
)
def test_a_damaged_cache_is_made_anew(tree: Path, kept: Path, damage: Callable[[Path, Path], object]) -> None:
    first = np.array(pictures(tree).test.images)
    damage(*files(kept))
    assert np.array_equal(pictures(tree).test.images, first)
    assert np.load(files(kept)[0]).shape == (13, SIDE, SIDE, 3)
    assert np.load(files(kept)[1]).tolist()[-4:] == [0, 1, 1, 2]


def test_ctrl_c_leaves_nothing(tree: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cache, "decoded", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pictures(tree)
    assert [path.suffix for path in kept.iterdir()] == [".lock"]
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
    assert sorted(path.suffix for path in kept.iterdir()) == [".lock", ".part"]
    assert np.array_equal(pictures(tree).test.images, [noise(seed) for seed in (9, 10, 11, 12)])
    assert sorted(path.suffix for path in kept.iterdir()) == [".lock", ".npy", ".npy"]


def test_two_processes_do_not_decode_at_once(
    tree: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tree)
    images, _ = files(kept)
    content = images.read_bytes()
    images.unlink()
    no_decoding(monkeypatch)
    result: list[Dataset] = []
    reader = threading.Thread(target=lambda: result.append(pictures(tree)))
    with open(images.with_suffix(".lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        reader.start()
        shown, end = "", time.monotonic() + 10
        while "waiting for another process that decodes the same pictures" not in shown:
            assert reader.is_alive() and time.monotonic() < end, shown
            shown += capsys.readouterr().err
        images.write_bytes(content)
    reader.join(10)
    assert np.array_equal(result[0].test.images[0], noise(9))


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
    assert len(list((tmp_path / "home/.cache/intandem").glob("*.npy"))) == 2


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
