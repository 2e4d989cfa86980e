"""Bit flips: as many as the rate says, in the stored bits, always the same ones."""

import json
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.faults.report import Study, write_study
from codegen.faults.study import Trials, flip, study, weighted
from codegen.ir import IntegerNetwork, TestSet, save, save_test_set
from tests.commands import command
from tests.networks import Chain, digits, tiny


def codes(network: IntegerNetwork) -> dict[str, np.ndarray]:
    return {node.name: node.op.weights.codes for node in network.nodes if node.name in weighted(network)}


def turned(before: IntegerNetwork, after: IntegerNetwork) -> dict[str, int]:
    """Bits that differ, by layer."""
    pairs = zip(codes(before).items(), codes(after).values(), strict=True)
    return {name: int(np.bitwise_count(old ^ new).sum()) for (name, old), new in pairs}


@pytest.mark.parametrize("rate", [0, 1e-3, 0.02, 0.5, 1])
def test_as_many_stored_bits_flip_as_are_told(rate: float) -> None:
    network = digits()
    done = flip(network, rate, seed=1)
    bits = 72 * 8 + 1152 * 4 + 640 * 8
    assert done.bits == bits and sum(turned(network, done.network).values()) == done.flips
    assert abs(done.flips - rate * bits) <= 5 * (bits * rate * (1 - rate)) ** 0.5


def test_every_bit_of_a_code_flips_as_often_as_any_other() -> None:
    network = Chain(0, (400,), 4).linear("fc", 100, bits=5).network()
    changed = codes(flip(network, 0.1, seed=3).network)["fc"] ^ codes(network)["fc"]
    share = [float((changed >> bit & 1).mean()) for bit in range(5)]
    assert min(share) > 0.09 and max(share) < 0.11


def test_large_layers_are_flipped_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codegen.faults.study._BLOCK", 100)
    network = digits()
    done = flip(network, 0.3, seed=0)
    assert sum(turned(network, done.network).values()) == done.flips
    assert codes(done.network)["conv2"][-1, -1, -1, -1] >= 0
    late = codes(done.network)["conv2"].ravel()[1000:] != codes(network)["conv2"].ravel()[1000:]
    assert late.any()


def test_the_same_seed_flips_the_same_bits_and_another_others() -> None:
    network = digits()
    first = codes(flip(network, 0.01, seed=5).network)
    same, seed, trial = (codes(flip(network, 0.01, *which).network) for which in ((5, 0), (6, 0), (5, 1)))
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert any(not np.array_equal(first[name], seed[name]) for name in first)
    assert any(not np.array_equal(first[name], trial[name]) for name in first)


def test_one_layer_alone_has_the_flips_that_it_has_among_all() -> None:
    network = digits()
    everywhere, alone = flip(network, 0.05, seed=2), flip(network, 0.05, seed=2, layer="conv2")
    assert set(turned(network, alone.network)) == {"conv1", "conv2", "fc"}
    assert np.array_equal(codes(alone.network)["conv2"], codes(everywhere.network)["conv2"])
    for name in ("conv1", "fc"):
        assert np.array_equal(codes(alone.network)[name], codes(network)[name])
    assert alone.bits == 1152 * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.5}, "a rate of flips must be from 0 to 1, not 1.5"),
        ({"rate": float("nan")}, "a rate of flips must be from 0 to 1, not nan"),
        ({"seed": -1}, "a seed of flips must be 0 or more, not -1"),
        ({"layer": "pool"}, "layer must be one with weights, conv, fc, not 'pool'"),
    ],
)
def test_what_cannot_be_flipped_is_said(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        flip(tiny(), **({"rate": 0.1, "seed": 0} | arguments))
    assert str(caught.value) == message


def test_a_study_runs_the_golden_model_of_each_flipped_network() -> None:
    network = digits()
    images = np.random.default_rng(0).integers(0, 16, (30, 8, 8, 1)).astype(np.uint8)
    test = TestSet(images, network.run(images))
    ticks: list[int] = []
    found = list(study(network, test, [1e-9, 0.05], 3, 0, ["conv1", None], lambda: ticks.append(1)))
    assert [(one.layer, one.rate) for one in found] == [
        ("conv1", 1e-9), ("conv1", 0.05), (None, 1e-9), (None, 0.05),
    ]  # fmt: skip
    assert len(ticks) == 12
    assert found[0].correct == found[2].correct == (30, 30, 30) and found[0].flips == (0, 0, 0)
    for trial, correct in enumerate(found[3].correct):
        again = flip(network, 0.05, 0, trial)
        assert correct == int((again.network.run(images) == test.labels).sum())
        assert found[3].flips[trial] == again.flips
    assert min(found[3].correct) < 30


def test_a_network_without_a_class_is_refused() -> None:
    network = Chain(0, (4, 4, 1), 2).conv("conv", 2).network()
    test = TestSet(np.zeros((1, 4, 4, 1), np.uint8), np.zeros(1, np.int64))
    with pytest.raises(
        UserError, match=r"^network 'small' must end in argmax to be right or wrong, not in conv$"
    ):
        list(study(network, test, [0.1], 1, 0))


def test_file_and_plot_say_what_was_found(tmp_path: Path) -> None:
    trials = (
        Trials("a", 1e-3, (1, 3), (9, 7)),
        Trials("a", 1e-1, (5, 5), (5, 1)),
        Trials("b", 1e-1, (2, 2), (0, 0)),
    )
    write_study(Study("net", 4, 10, 9, trials), tmp_path)
    told = json.loads((tmp_path / "faults.json").read_text())
    assert told["rates"][0] == {"layer": "a", "rate": 1e-3, "flips": [1, 3], "correct": [9, 7]}
    assert (told["network"], told["seed"], told["images"], told["correct"]) == ("net", 4, 10, 9)
    drawn = xml.etree.ElementTree.fromstring((tmp_path / "faults.svg").read_text())
    lines = [one.get("points") for one in drawn if one.tag.endswith("polyline")]
    # Of 320 points of height below 30 of margin: means of 80 %, 30 % and 0 %; from 1e-3 to 1e-1 over 560.
    assert lines == ["60.0,94.0 620.0,254.0", "620.0,350.0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    trained = folder / "runs" / "small"
    trained.mkdir(parents=True)
    network = digits()
    images = np.random.default_rng(1).integers(0, 16, (20, 8, 8, 1)).astype(np.uint8)
    save(network, trained / "network.safetensors")
    save_test_set(TestSet(images, network.run(images)), trained / "test.safetensors")
    (folder / "bare").mkdir()
    save(network, folder / "bare" / "network.safetensors")
    return folder


def test_the_command_shows_a_table_and_says_where_the_files_are(folder: Path) -> None:
    arguments = ("codegen", "faults", "small", "--rates", "1e-9,0.1", "--trials", "2", "--images", "10")
    done = command(folder, *arguments, "--by-layer")
    assert done.returncode == 0, done.stderr
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line
    ]
    assert [row[:2] for row in rows] == [
        ["", "0"],
        *[[n, r] for n in ("conv1", "conv2", "fc") for r in ("1e-09", "0.1")],
    ]
    assert rows[1][2:] == ["0.0", "100.00 %", "100.00 %", "100.00 %", "0.00"]
    assert done.stdout.splitlines()[-1] == "build/digits_small-faults: faults.json, faults.svg"
    first = (folder / "build" / "digits_small-faults" / "faults.json").read_bytes()
    assert command(folder, *arguments, "--by-layer", "--out", "other").returncode == 0
    assert (folder / "other" / "faults.json").read_bytes() == first


NO_RATES = "argument --rates: must be numbers above 0 and up to 1 with commas between, not"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["small", "--rates", "1,x"], f"{NO_RATES} '1,x'"),
        (["small", "--rates", "0"], f"{NO_RATES} '0'"),
        (["small", "--layer", "pool"], "error: layer must be one with weights, conv1, conv2, fc, not 'pool'"),
        (
            ["bare"],
            "error: 'digits_small' must have held-out images beside it to be right or wrong; train it",
        ),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(
    arguments: list[str], message: str, folder: Path
) -> None:
    done = command(folder, "codegen", "faults", *arguments, "--out", "never")
    assert done.returncode == 2 and done.stderr.splitlines()[-1].endswith(message)
    assert not (folder / "never").exists()
