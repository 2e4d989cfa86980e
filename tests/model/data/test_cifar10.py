"""CIFAR-10: every published form gives the same images, and no file can make us run anything."""

import os
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from codegen.errors import UserError
from model.data import Dataset, Images, fingerprint, read
from model.data._pickled import pixels_and_labels
from model.recipe import Data, Source

CIFAR10 = Data(Source.CIFAR10, 10)
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FILES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
EACH = 12  # images a file


def batch(file: int) -> Images:
    """What the file of this number holds."""
    random = np.random.default_rng(file)
    labels = (np.arange(EACH) + file) % 10
    return Images(random.integers(0, 256, (EACH, 32, 32, 3)).astype(np.uint8), labels)


def planes(images: Images) -> np.ndarray:
    """As the files have them: (N, 3072), all of R, then G, then B."""
    return np.ascontiguousarray(images.images.transpose(0, 3, 1, 2)).reshape(len(images), 3072)


def text(content: bytes) -> bytes:
    """A string as Python 2 pickles it: U with one byte of length, T with four."""
    if len(content) < 256:
        return b"U" + bytes([len(content)]) + content
    return b"T" + struct.pack("<i", len(content)) + content


def number(value: int) -> bytes:
    return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)


def listed(items: list[bytes], memo: int, chunk: int = 5) -> bytes:
    parts = (items[start : start + chunk] for start in range(0, len(items), chunk))
    return b"]q" + bytes([memo]) + b"".join(b"(" + b"".join(part) + b"e" for part in parts)


def python2(
    images: Images, labels: bytes | None = None, raw: bytes | None = None, rest: bytes = b""
) -> bytes:
    """A batch in the opcodes of the published files, which cPickle wrote as protocol 2."""
    raw = planes(images).tobytes() if raw is None else raw
    names = listed([text(b"image_%d.png" % n) for n in range(len(images))], 12)
    return (
        b"\x80\x02}q\x01("
        + (text(b"batch_label") + b"q\x02" + text(b"training batch 1 of 5") + b"q\x03")
        + text(b"labels")
        + b"q\x04"
        + (listed([number(label) for label in images.labels], 5) if labels is None else labels)
        + text(b"data")
        + b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85"
        + (b"U\x01b\x87Rq\x09(K\x01" + number(len(images)) + number(3072) + b"\x86cnumpy\ndtype\nq\x0a")
        + b"U\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + (text(raw) + b"tb" + text(b"filenames") + b"q\x0c" + names + rest + b"u.")
    )


def python3(images: Images, protocol: int, bytes_keys: bool, order: Any = "C") -> bytes:
    """A batch as somebody writes it who has unpickled one in Python 3."""
    whole = {
        "labels": images.labels.tolist(),
        "batch_label": "one",
        "data": np.array(planes(images), order=order),
    }
    return pickle.dumps({key.encode() if bytes_keys else key: whole[key] for key in whole}, protocol)


def records(images: Images) -> bytes:
    return np.column_stack([images.labels.astype(np.uint8), planes(images)]).tobytes()


def write(folder: Path, content: Callable[[Images], bytes], ending: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, name in enumerate(FILES):
        (folder / (name + ending)).write_bytes(content(batch(file)))


def write_pictures(folder: Path, ending: str = "png") -> None:
    for file in range(len(FILES)):
        images = batch(file)
        for row, label in enumerate(images.labels):
            inside = folder / ("test" if file == 5 else "train") / NAMES[label]
            inside.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images.images[row]).save(inside / f"{file}_{row}.{ending}")


def cifar10(folder: Path, side: int = 32, channels: int = 3) -> Dataset:
    return read(CIFAR10, side, channels, 10, folder)


def rows(images: Images) -> list[bytes]:
    return sorted(
        image.tobytes() + bytes([label]) for image, label in zip(images.images, images.labels, strict=True)
    )


def check(dataset: Dataset) -> None:
    """All the images, each in its part."""
    training = [row for file in range(5) for row in rows(batch(file))]
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [50, 10, 12]
    assert sorted(rows(dataset.train) + rows(dataset.validation)) == sorted(training)
    assert np.bincount(dataset.validation.labels).tolist() == [1] * 10
    assert rows(dataset.test) == rows(batch(5))
    assert dataset.classes == NAMES


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


FORMS = {
    "python 2": python2,
    **{
        f"python 3, protocol {protocol}, {'bytes' if keys else 'text'}": (
            lambda images, protocol=protocol, keys=keys: python3(images, protocol, keys)
        )
        for protocol in (2, 3, 4, 5)
        for keys in (True, False)
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_pickled_form_is_read(tmp_path: Path, form: str) -> None:
    write(tmp_path, FORMS[form])
    dataset = cifar10(tmp_path)
    check(dataset)
    assert dataset.test.images.flags.c_contiguous
    assert dataset.description == (
        "CIFAR-10, 32x32, 50 training, 10 validation, 12 test, stratified, split seed 0"
    )


@pytest.mark.parametrize("place", [".", "cifar-10-batches-bin"])
def test_the_binary_version_is_read(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, records, ".bin")
    check(cifar10(tmp_path))


def test_the_python_version_is_found_in_its_usual_folder(tmp_path: Path) -> None:
    write(tmp_path / "cifar-10-batches-py", python2)
    check(cifar10(tmp_path))
    assert fingerprint(CIFAR10, 32, tmp_path) == fingerprint(CIFAR10, 32, tmp_path / "cifar-10-batches-py")


@pytest.mark.parametrize("place", [".", "any name"])
def test_pictures_in_folders_are_read(tmp_path: Path, place: str) -> None:
    write_pictures(tmp_path / "data" / place)
    dataset = cifar10(tmp_path / "data")
    check(dataset)
    assert dataset.description.startswith("CIFAR-10 from PNG pictures, 32x32, 50 training, ")


def test_two_folders_of_pictures_are_not_chosen_from(tmp_path: Path) -> None:
    for place in ("one", "other"):
        write_pictures(tmp_path / place)
    with pytest.raises(UserError, match=rf"^--data must be the folder with .*; '{tmp_path}' has none$"):
        cifar10(tmp_path)


def test_pictures_of_other_than_ten_classes_are_no_cifar10(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data")
    for part in ("train", "test"):
        (tmp_path / "data" / part / "zebra").mkdir()
        Image.new("RGB", (32, 32)).save(tmp_path / "data" / part / "zebra" / "1.png")
    with pytest.raises(
        UserError, match=r"/data/train' must have the ten classes of CIFAR-10, not 11; set data"
    ):
        cifar10(tmp_path / "data")


def test_another_size_and_grey_are_as_pillow_makes_them(tmp_path: Path) -> None:
    write(tmp_path, python2)
    picture = Image.fromarray(batch(5).images[3])
    half = np.asarray(picture.resize((16, 16), Image.Resampling.BICUBIC))
    grey = np.asarray(picture.convert("L"))
    assert np.array_equal(cifar10(tmp_path, 16).test.images[3], half)
    assert np.array_equal(cifar10(tmp_path, 32, 1).test.images[3, ..., 0], grey)


def test_ten_classes_are_needed(tmp_path: Path) -> None:
    write(tmp_path, python2)
    with pytest.raises(
        UserError, match=r"^network.classes must be 10, the number of classes in the data, not 12"
    ):
        read(CIFAR10, 32, 3, 12, tmp_path)


def test_the_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    write(tmp_path, python2)
    prints = {fingerprint(CIFAR10, side, tmp_path) for side in (32, 32, 24)}
    os.utime(tmp_path / "data_batch_4", ns=(7, 7))
    prints.add(fingerprint(CIFAR10, 32, tmp_path))
    time = (tmp_path / "test_batch").stat().st_mtime_ns
    with open(tmp_path / "test_batch", "ab") as file:
        file.write(b"more")
    os.utime(tmp_path / "test_batch", ns=(time, time))
    prints.add(fingerprint(CIFAR10, 32, tmp_path))
    assert len(prints) == 4


def test_an_empty_and_a_missing_folder_are_told_what_belongs_there(tmp_path: Path) -> None:
    for folder, lack in ((tmp_path, "has none"), (tmp_path / "nowhere", "is no folder")):
        with pytest.raises(UserError) as error:
            cifar10(folder)
        message = str(error.value)
        assert message.startswith("--data must be the folder with the Python version (files data_batch_1 to ")
        assert (
            "the home page of its authors at the University of Toronto, and nothing is downloaded" in message
        )
        assert message.endswith(f"; '{folder}' {lack}")


@pytest.mark.parametrize("ending", ["", ".bin"])
@pytest.mark.parametrize("file", ["data_batch_1", "data_batch_3", "test_batch"])
def test_a_missing_file_is_named(tmp_path: Path, file: str, ending: str) -> None:
    write(tmp_path, records if ending else python2, ending)
    (tmp_path / (file + ending)).unlink()
    for use in (lambda: cifar10(tmp_path), lambda: fingerprint(CIFAR10, 32, tmp_path)):
        with pytest.raises(
            UserError, match=rf"/{file}{ending}' must be a file of CIFAR-10, but: No such file"
        ):
            use()


GOOD = batch(1)
WRONG_LABEL = Images(GOOD.images, np.array([*GOOD.labels[:-1], 10]))
FEWER = Images(GOOD.images, GOOD.labels[:-1])
COARSE = pickle.dumps({b"data": planes(GOOD), b"fine_labels": GOOD.labels.tolist()}, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "pickle exhausted before seeing STOP"),
        (b"<!DOCTYPE html><html>Not found</html>", "at position 0, opcode b'<' unknown"),
        (b"S'\\q'\n.", "it has 0 strings of 3072 bytes an image"),  # an escape that Python warns of
        (python2(GOOD)[:-1], "pickle exhausted before seeing STOP"),
        (python2(GOOD)[:4000], "expected 36864 bytes in a string4, but only"),
        (python2(WRONG_LABEL), "its labels are 0..10 instead of 0..9"),
        (python3(WRONG_LABEL, 5, True), "its labels are 0..10 instead of 0..9"),
        (python2(GOOD, labels=listed([], 5)), "it has 12 images and 0 labels"),
        (python2(GOOD, labels=listed([b"K\x00"] * 11, 5)), "it has 12 images and 11 labels"),
        (python2(GOOD, labels=b"N"), "its 'labels' are no list"),
        (
            python2(GOOD, labels=listed([b"J\xff\xff\xff\xff"] * 12, 5)),
            "its labels are -1..-1 instead of 0..9",
        ),
        (python2(GOOD, raw=planes(GOOD).tobytes()[:-1]), "it has 0 strings of 3072 bytes an image"),
        (python2(GOOD, raw=planes(GOOD).tobytes()[:3072]), "it has 1 images and 12 labels"),
        (python2(GOOD, rest=text(b"x") + text(bytes(3072))), "it has 2 strings of 3072 bytes an image"),
        (python2(GOOD, rest=text(b"labels") + listed([b"K\x00"], 9)), "it has 2 entries 'labels'"),
        (
            python2(GOOD).replace(b"M\x00\x0c", b"M\x00\x0b"),
            "its images are no array of 12 rows of 3072 bytes",
        ),
        (python2(GOOD).replace(b"tb\x89", b"tb\x88"), "its array of images is stored column after column"),
        (python3(GOOD, 3, True, "F"), "its array of images is stored column after column"),
        (python3(GOOD, 5, True, "F"), "its array of images is stored column after column"),
        (python2(GOOD)[:-1] + b"0" * 1_000_000 + b".", "it has more than 1,000,000 steps"),
        (COARSE, "it has 0 entries 'labels'"),
        (pickle.dumps({b"labels": 3}, 4), "it has 0 strings of 3072 bytes an image"),
        (pickle.dumps({b"labels": "\u20ac" * 3072}, 2), "can't encode characters"),
        (pickle.dumps(("x" * 3072, "labels"), 1), "its 'labels' are no list"),
    ],
)
def test_a_wrong_pickle_is_named_with_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    write(tmp_path, python2)
    (tmp_path / "data_batch_2").write_bytes(content)
    with pytest.raises(UserError) as error:
        cifar10(tmp_path)
    assert str(error.value).startswith(f"'{tmp_path / 'data_batch_2'}' must be a file of CIFAR-10, but: ")
    assert message in str(error.value)
    assert str(error.value).endswith("; fetch it again")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its 0 bytes are no records of 3073"),
        (records(GOOD)[:-1], f"its {12 * 3073 - 1} bytes are no records of 3073"),
        (records(WRONG_LABEL), "its labels are 0..10 instead of 0..9"),
    ],
)
def test_a_wrong_binary_file_is_named_with_what_is_wrong(
    tmp_path: Path, content: bytes, message: str
) -> None:
    write(tmp_path, records, ".bin")
    (tmp_path / "data_batch_2.bin").write_bytes(content)
    with pytest.raises(UserError) as error:
        cifar10(tmp_path)
    assert str(error.value) == (
        f"'{tmp_path / 'data_batch_2.bin'}' must be a file of CIFAR-10, but: {message}; fetch it again"
    )


def test_an_endless_file_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, python2)
    with open(tmp_path / "data_batch_2", "wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no room
    with pytest.raises(
        UserError, match=r"/data_batch_2' must be .* CIFAR-10, but: it has 1099511627776 bytes; f"
    ):
        cifar10(tmp_path)


def test_nothing_in_a_pickle_is_ever_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    call = b"cos\nsystem\n" + text(f"touch '{ran}'".encode()) + b"\x85R"
    opcodes = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(call + b".")]
    assert opcodes[0] == ("GLOBAL", "os system") and opcodes[3] == ("REDUCE", None)  # it would run
    write(tmp_path, lambda images: python2(images, rest=text(b"more") + call))
    check(cifar10(tmp_path))
    (tmp_path / "data_batch_1").write_bytes(python2(GOOD, labels=call))
    with pytest.raises(UserError, match="its 'labels' are no list"):
        cifar10(tmp_path)
    assert not ran.exists()


def test_a_pickle_cut_anywhere_or_with_any_byte_changed_is_an_error_or_images() -> None:
    one = Images(GOOD.images[:1], GOOD.labels[:1])
    random = np.random.default_rng(3)
    for whole in (python2(one), python3(one, 2, True), python3(one, 4, True), python3(one, 5, False)):
        places = [n for n in range(len(whole)) if n < 400 or n > len(whole) - 250]
        assert not any(is_read(whole[:place]) for place in places)
        changed = [whole[:n] + random.bytes(1) + whole[n + 1 :] for n in random.choice(places, 300)]
        assert is_read(whole) and not all(is_read(case) for case in changed)


def is_read(content: bytes) -> bool:
    try:
        pixels, labels = pixels_and_labels(content)
    except ValueError:
        return False
    assert len(pixels) == 3072 * len(labels)
    return True


def test_the_folder_of_the_environment_has_all_images() -> None:
    folder = os.environ.get("INTANDEM_DATA")
    if not folder:
        pytest.skip("set INTANDEM_DATA to a folder with CIFAR-10")
    dataset = read(Data(Source.CIFAR10, 5000), 32, 3, 10, Path(folder))
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [45000, 5000, 10000]
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    assert np.bincount(dataset.validation.labels).tolist() == [500] * 10
