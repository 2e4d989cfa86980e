"""Network and test set files: what is written, and how."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.files import write_atomically
from codegen.ir import (
    Conv,
    DorefaWeights,
    IntegerNetwork,
    IrError,
    Node,
    TensorType,
    TestSet,
    class_text,
    load,
    load_test_set,
    save,
    save_test_set,
    spread,
)
from codegen.ir._container import write_container

if TYPE_CHECKING:
    from conftest import SavedFile


def test_a_network_comes_back_equal(network: IntegerNetwork, images: np.ndarray, saved: "SavedFile") -> None:
    loaded = load(saved.path)
    assert loaded == network and loaded.types == network.types and str(loaded) == str(network)
    expected = network.trace(images)
    assert all(np.array_equal(array, expected[name]) for name, array in loaded.trace(images).items())


@pytest.mark.parametrize("bits", range(1, 9))
def test_weights_of_every_width_come_back_equal(bits: int, tmp_path: Path) -> None:
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (6, 3, 3, 5)).astype(np.uint8)
    weights = DorefaWeights(codes, bits)
    conv = Conv(weights, accumulator_bits=weights.accumulator_bits(0, 3))
    network = IntegerNetwork("one", TensorType((4, 4, 5), 0, 3), (Node("conv", conv, ("input",)),))
    save(network, tmp_path / "one.safetensors")
    assert load(tmp_path / "one.safetensors") == network


def test_a_test_set_of_strided_arrays_comes_back_equal(tmp_path: Path) -> None:
    images = np.arange(2 * 4 * 4 * 6, dtype=np.uint8).reshape(2, 4, 4, 6)[..., ::2]
    write_container(
        tmp_path / "t", "test set", {"classes": []}, {"images": images, "labels": np.arange(4)[::2]}
    )
    loaded = load_test_set(tmp_path / "t")
    assert np.array_equal(loaded.images, images) and loaded.labels.tolist() == [0, 2]


def test_equal_networks_give_equal_bytes(saved: "SavedFile", tmp_path: Path) -> None:
    for _ in range(10):
        save(load(saved.path), tmp_path / "again.safetensors")
        assert (tmp_path / "again.safetensors").read_bytes() == saved.path.read_bytes()


def test_the_format_is_what_the_document_says(network: IntegerNetwork, saved: "SavedFile") -> None:
    assert set(saved.header) == {"body", "digest", "kind", "version"}
    assert (saved.header["kind"], saved.header["version"]) == ("network", 2)
    assert saved.header["digest"] == saved.digest()
    conv = network.nodes[0].op
    assert isinstance(conv, Conv)
    stream = int.from_bytes(saved.tensors["conv1.weights"].tobytes(), "little")
    assert saved.header["body"]["nodes"][0]["weights"] == {"bits": 3, "shape": [4, 3, 3, 1]}
    assert [stream >> (3 * place) & 7 for place in range(36)] == conv.weights.codes.ravel().tolist()
    assert saved.tensors["scale1.alpha"].tolist() == [40, 41, 43, 47]
    assert saved.tensors["scale1.beta"].shape == () and saved.tensors["scale1.beta"] == -900


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_every_version_stay_readable(version: int, network: IntegerNetwork, tmp_path: Path) -> None:
    """The golden files were written once: a change of the format takes a new version and still reads them."""
    golden = Path(__file__).parent / "golden" / f"network_v{version}.safetensors"
    expected = network if version == 1 else described(network)
    assert load(golden) == expected
    save(expected, tmp_path / "now")
    assert (golden.read_bytes() == (tmp_path / "now").read_bytes()) == (version == 2)


def test_test_sets_of_version_1_stay_readable(tmp_path: Path) -> None:
    golden = Path(__file__).parent / "golden" / "test_v1.safetensors"
    loaded = load_test_set(golden)
    assert loaded.images.tolist() == np.arange(24).reshape(3, 2, 2, 2).tolist()
    assert (loaded.labels.tolist(), loaded.classes, dict(loaded.answers)) == ([4, 0, 9], (), {})


def described(network: IntegerNetwork) -> IntegerNetwork:
    return replace(network, classes=("cat", "dog", "Kätzchen"), side=12)


def test_classes_side_and_answers_come_back(network: IntegerNetwork, tmp_path: Path) -> None:
    save(described(network), tmp_path / "n")
    loaded = load(tmp_path / "n")
    assert loaded == described(network) != network
    assert (loaded.classes, loaded.side) == (("cat", "dog", "Kätzchen"), 12)
    images, labels = np.zeros((3, 2, 2, 1), np.uint8), np.array([0, 1, 0])
    answers = {"teacher": np.array([1, 1, 0]), "other": np.array([0, 0, 0])}
    save_test_set(TestSet(images, labels, ("cat", "dog"), answers), tmp_path / "t")
    test_set = load_test_set(tmp_path / "t")
    assert test_set.classes == ("cat", "dog")
    assert {name: found.tolist() for name, found in test_set.answers.items()} == {
        "teacher": [1, 1, 0],
        "other": [0, 0, 0],
    }


@pytest.mark.parametrize(("index", "text"), [(0, "0 (cat)"), (1, "1"), (2, "2"), (-1, "-1")])
def test_a_class_is_told_by_its_name_where_that_says_more(index: int, text: str) -> None:
    assert class_text(("cat", "1"), index) == text


def test_a_test_set_comes_back_equal(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (5, 3, 4, 2), np.uint8), np.array([0, 9, 3, 3, 1])
    path = tmp_path / "test.safetensors"
    save_test_set(TestSet(images, labels), path)
    loaded = load_test_set(path)
    assert loaded.images.dtype == np.uint8 and np.array_equal(loaded.images, images)
    assert loaded.labels.dtype == np.int64 and np.array_equal(loaded.labels, labels)
    content = path.read_bytes()
    save_test_set(loaded, path)
    assert path.read_bytes() == content
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            again = load_test_set(path)
        except IrError:
            continue
        assert np.array_equal(again.images, images) and np.array_equal(again.labels, labels), f"byte {place}"


@pytest.mark.parametrize("sizes", [[5] * 4, [1], [1, 50], [3, 7, 11, 2], [100, 0, 100]])
def test_every_beginning_of_a_sample_has_of_each_class_its_share(sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    order = spread(labels)
    assert sorted(order.tolist()) == list(range(len(labels)))
    for count in range(1, len(labels) + 1):
        for label, size in enumerate(sizes):
            share = count * size / len(labels)
            assert abs(int((labels[order[:count]] == label).sum()) - share) <= 1.5, (count, label)
    if len(set(sizes)) == 1 and len(sizes) > 1:
        assert sorted(labels[order[: len(sizes)]].tolist()) == list(range(len(sizes)))
    assert np.array_equal(spread(labels), order)


def test_a_network_is_not_a_test_set(saved: "SavedFile") -> None:
    with pytest.raises(IrError) as error:
        load_test_set(saved.path)
    assert str(error.value) == f"test set file '{saved.path}': the file must hold a test set, not 'network'"


def test_a_test_set_is_a_frozen_copy() -> None:
    images = np.zeros((1, 2, 2, 1), np.uint8)
    test_set = TestSet(images, np.zeros(1, np.int64))
    images[0] = 1
    assert not test_set.images.any()
    with pytest.raises(ValueError, match="read-only"):
        test_set.images[0] = 1


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_saving_is_atomic(
    network: IntegerNetwork, saved: "SavedFile", monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = saved.path.read_bytes()
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(UserError) as error:
        save(network, saved.path)
    assert (
        str(error.value) == f"'{saved.path}' must be a file that can be written, but: No space left on device"
    )
    assert saved.path.read_bytes() == before and list(saved.path.parent.iterdir()) == [saved.path]


@pytest.mark.parametrize(
    ("place", "reason"), [("no/where", "No such file or directory"), ("file/below", "Not a directory")]
)
def test_a_place_that_cannot_be_written_is_told(
    network: IntegerNetwork, tmp_path: Path, place: str, reason: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as error:
        save(network, tmp_path / place)
    assert str(error.value) == f"'{tmp_path / place}' must be a file that can be written, but: {reason}"


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "one", b"content")
    (tmp_path / "two").write_bytes(b"content")
    assert (tmp_path / "one").read_bytes() == b"content"
    assert (tmp_path / "one").stat().st_mode == (tmp_path / "two").stat().st_mode
