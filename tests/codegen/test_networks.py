"""Which network a name stands for, and which images it is shown."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from codegen import networks, places
from codegen.errors import UserError
from codegen.ir import TestSet, load_test_set, save, save_test_set
from codegen.networks import Source, find_network
from codegen.untrained import photographs
from tests.networks import Chain, tiny


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe's network in runs/, and the folder that the user is in."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "tiny_w3a2"
    folder.mkdir(parents=True)
    save(tiny(), folder / "network.safetensors")
    images = np.arange(4 * 50, dtype=np.uint8).reshape(4, 5, 5, 2) % 8
    labels = np.array([0, 1, 2, 0])
    test_set = TestSet(images, labels, answers={"teacher": labels})
    save_test_set(test_set, folder / "test.safetensors")
    return folder


@pytest.mark.parametrize("name", ["tiny_w3a2", "runs/tiny_w3a2", "runs/tiny_w3a2/network.safetensors"])
def test_a_network_has_three_names(name: str, trained: Path) -> None:
    source = find_network(name)
    assert source.path.resolve() == (trained / "network.safetensors").resolve()
    assert source.network == tiny() and source.name == "tiny"
    assert source.test_set is not None and source.test_set.labels.tolist() == [0, 1, 2, 0]


def test_a_file_needs_no_test_set_beside_it(trained: Path, tmp_path: Path) -> None:
    (trained / "network.safetensors").rename(tmp_path / "mine.bin")
    source = find_network("mine.bin")
    assert source.test_set is None
    images = source.sample(None).images
    assert images.shape == (64, 5, 5, 2) and images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 7)
    assert np.array_equal(find_network("mine.bin").sample(3).images, images[:3])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tiny_w3a4", "did you mean 'tiny_w3a2'?"),
        ("tiny", "did you mean 'tiny_w3a2'?"),
        ("vgg_small_quarter_w4a4", "train it first: python -m model train vgg_small_quarter_w4a4"),
        ("digits_w4a5", "did you mean 'digits_w4a4'?"),
        ("alexnet_w8a9", "did you mean 'alexnet_w8a8'?"),
        ("vggsmall_w1a1", "did you mean 'vgg_small_w1a1'?"),
        ("mobilenet", "python -m model list shows what can be trained"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one_or_how_to_train_it(name: str, hint: str, trained: Path) -> None:
    with pytest.raises(UserError) as error:
        find_network(name)
    assert str(error.value) == (
        f"network must be a file, a run's folder or a trained recipe, not '{name}', of which there is no "
        f"runs/{name}/network.safetensors; {hint}"
    )


@pytest.fixture
def training(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for training in a process of its own: every network is the tiny one."""

    def run(command: str, name: str) -> int:
        if command != "train" or name == "digits_w1a1":
            return 3
        shutil.copytree("runs/tiny_w3a2", f"runs/{name}")
        return 0

    monkeypatch.setattr(networks, "run_child", run)


@pytest.mark.usefixtures("training")
def test_a_recipe_with_its_images_at_hand_is_trained_now(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="without torch nothing is trained")
    first = "digits_w4a4 is not trained yet, so first: python -m model train digits_w4a4\n"
    assert find_network("digits_w4a4").path == Path("runs/digits_w4a4/network.safetensors")
    assert capfd.readouterr().err == first
    assert find_network("digits_w4a4").network == tiny()
    assert capfd.readouterr().err == "", "it is trained once"


@pytest.mark.usefixtures("training")
def test_the_file_of_a_recipe_names_its_network(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="without torch nothing is trained")
    monkeypatch.setattr(networks, "run_child", lambda command, name: _trained_as(Path(name).stem))
    (tmp_path / "mine.toml").write_text('[data]\nsource = "digits"\n')
    assert find_network("mine.toml").path == Path("runs/mine/network.safetensors")
    assert capfd.readouterr().err.startswith("mine.toml is not trained yet, so first: ")
    assert find_network("mine.toml").network == tiny()
    assert capfd.readouterr().err == ""
    later = Path("runs/mine/network.safetensors").stat().st_mtime + 10
    os.utime("mine.toml", (later, later))
    assert find_network("mine.toml").network == tiny()
    assert capfd.readouterr().err == (
        "note: mine.toml is newer than runs/mine/network.safetensors; to train it again: "
        "python -m model train mine.toml\n"
    )
    (tmp_path / "other.toml").write_text('[data]\nsource = "cifar10"\n')
    with pytest.raises(UserError, match=r"; train it first: python -m model train other.toml$"):
        find_network("other.toml")
    with pytest.raises(UserError, match=r"not 'none.toml', of which there is no runs/none/network"):
        find_network("none.toml")


def _trained_as(name: str) -> int:
    shutil.copytree("runs/tiny_w3a2", f"runs/{name}")
    Path(f"runs/{name}/network.safetensors").touch()
    return 0


@pytest.mark.usefixtures("training")
def test_training_that_fails_is_an_error() -> None:
    pytest.importorskip("torch", reason="without torch nothing is trained")
    with pytest.raises(UserError) as error:
        find_network("digits_w1a1")
    assert str(error.value) == (
        "training 'digits_w1a1' must end with status 0, not 3; python -m model train digits_w1a1 says more"
    )


@pytest.mark.usefixtures("training")
def test_without_torch_nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"train it first: python -m model train digits_w4a4$"):
        find_network("digits_w4a4")


def test_a_test_set_of_another_network_is_refused(trained: Path) -> None:
    save(Chain(0, (4, 4, 2), 3).conv("conv", 2).network(), trained / "network.safetensors")
    with pytest.raises(UserError) as error:
        find_network("tiny_w3a2")
    assert str(error.value) == (
        "runs/tiny_w3a2/test.safetensors must hold images of shape (4, 4, 2), not (5, 5, 2); "
        "it belongs to another network"
    )


def test_a_sample_has_of_each_class_its_share_and_fewer_are_the_first_of_more(trained: Path) -> None:
    source = find_network("tiny_w3a2")
    whole = source.sample(None)
    assert sorted(whole.labels.tolist()) == [0, 0, 1, 2] == sorted(whole.answers["teacher"].tolist())
    for count in range(1, 5):
        sample = source.sample(count)
        for image, label in zip(sample.images, sample.labels, strict=True):
            (place,) = [i for i, one in enumerate(source.test_set.images) if np.array_equal(one, image)]
            assert source.test_set.labels[place] == label
        assert np.array_equal(sample.images, whole.images[:count])
        assert sample.answers["teacher"].tolist() == whole.answers["teacher"][:count].tolist()
    assert source.sample(3).correct(np.array([[0], [1], [2]])) == sum(
        label == row for row, label in enumerate(source.sample(3).labels)
    )


@pytest.mark.parametrize("count", [0, -1, 5])
def test_images_that_are_not_there_cannot_be_had(count: int, trained: Path) -> None:
    with pytest.raises(UserError) as error:
        find_network("tiny_w3a2").sample(count)
    assert str(error.value) == f"images must be 1 to 4, as many as there are for 'tiny', not {count}"


def test_the_digest_changes_with_the_file_and_with_the_images(trained: Path) -> None:
    file, beside = trained / "network.safetensors", trained / "test.safetensors"
    digests = [find_network("tiny_w3a2").digest for _ in range(2)]
    save(tiny(seed=1), file)
    digests.append(find_network("tiny_w3a2").digest)
    test_set = load_test_set(beside)
    save_test_set(TestSet(test_set.images, test_set.labels[::-1].copy()), beside)
    digests.append(find_network("tiny_w3a2").digest)
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_a_recipe_that_is_not_trained_is_made_untrained(trained: Path) -> None:
    source = find_network("vgg_small_w2a3")
    assert (source.name, source.network.name) == ("vgg_small_w2a3", "vgg_small_w2a3")
    assert source.path is None and source.test_set is None
    assert source.digest == find_network("vgg_small_w2a3").digest != find_network("vgg_small_w2a4").digest
    images = source.sample(None).images
    assert images.shape == (8, 32, 32, 3) and np.array_equal(source.sample(3).images, images[:3])
    assert len(set(source.network.run(images).tolist())) > 1


def test_a_trained_network_comes_before_an_untrained_one(trained: Path) -> None:
    trained.rename(trained.with_name("vgg_small_w1a1"))
    source = find_network("vgg_small_w1a1")
    assert source.path == Path("runs/vgg_small_w1a1/network.safetensors")
    assert source.network == tiny() and source.note is None


def test_the_note_of_an_untrained_network_says_how_to_train_it(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = (
        "alexnet_w8a8 is untrained: its weights are random, its scales fit two photographs. Its shapes "
        "and cycles are real; its classes mean nothing until it is trained. To train it: "
    )
    monkeypatch.setattr(places, "RECIPES", trained)
    source = Source("alexnet_w8a8", None, tiny(), None)
    assert source.note == told + (
        "copy a recipe of model/recipes to alexnet_w8a8.toml, change its bits, and "
        "python -m model train alexnet_w8a8.toml"
    )
    (trained / "alexnet_w8a8.toml").touch()
    assert source.note == told + "python -m model train alexnet_w8a8"


def test_without_a_test_set_a_network_of_rgb_images_is_shown_photographs(tmp_path: Path) -> None:
    save(Chain(0, (16, 20, 3), 8).conv("conv", 2).network("rgb"), tmp_path / "rgb.safetensors")
    source = find_network(str(tmp_path / "rgb.safetensors"))
    assert np.array_equal(source.sample(None).images, photographs((16, 20, 3), 8))
    assert np.array_equal(source.sample(1000).images, photographs((16, 20, 3), 1000))
    for count in (0, 1001):
        with pytest.raises(UserError) as error:
            source.sample(count)
        assert str(error.value) == f"images must be 1 to 1000, as many as there are for 'rgb', not {count}"
