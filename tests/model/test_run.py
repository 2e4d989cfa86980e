"""A whole training: equality with the integer network, determinism, provenance."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from codegen.ir import Conv, Linear, Requantise, load, save, signed_bits
from model.export import check_equal
from model.journal import Journal
from model.recipe import Recipe, Scale
from model.recipe import load as load_recipe
from model.run import Outcome, train


def everything(outcome: Outcome) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    parts = (outcome.dataset.train, outcome.dataset.validation, outcome.dataset.test)
    return np.concatenate([part.images for part in parts])


def test_student_and_network_agree_at_every_node_for_every_image(outcome: Outcome) -> None:
    images = everything(outcome)
    expected, got = outcome.network.trace(images), outcome.student.trace(images)
    assert len(images) == 1797
    assert list(got) == list(expected)
    for name in expected:
        assert np.array_equal(got[name], expected[name]), name


@pytest.mark.parametrize(
    ("weights", "edges", "activations", "scale", "fraction"),
    [
        (1, 1, 1, Scale.LAYER, 0),
        (1, 8, 1, Scale.CHANNEL, 12),
        (2, 3, 2, Scale.LAYER, 5),
        (8, 8, 8, Scale.CHANNEL, 24),
    ],
)
def test_they_agree_at_other_widths_and_scales(
    short: Recipe, journal: Journal, weights: int, edges: int, activations: int, scale: Scale, fraction: int
) -> None:
    bits = replace(short.bits, weights=weights, edge_weights=edges, activations=activations)
    teacher = replace(short.teacher, float_epochs=0, schedule=replace(short.teacher.schedule, epochs=1))
    student = replace(short.student, scale=scale, fraction=fraction)
    outcome = train(replace(short, bits=bits, teacher=teacher, student=student), 1, None, journal)
    check_equal(outcome.student, outcome.network, everything(outcome))


def test_a_student_that_differs_is_reported_with_the_first_place(outcome: Outcome) -> None:
    changed = replace(outcome.network.nodes[1].op, beta=outcome.network.nodes[1].op.beta + 10**6)
    nodes = list(outcome.network.nodes)
    nodes[1] = replace(nodes[1], op=changed)
    network = replace(outcome.network, nodes=tuple(nodes))
    with pytest.raises(
        AssertionError,
        match=r"^conv1_requantise differs in \d+ of 2880 places, first at \[0 0 0 \d\]: expected 1?\d, got ",
    ):
        check_equal(outcome.student, network, outcome.dataset.test.images[:10])


def test_the_network_is_the_peers_small_cnn_with_exact_widths(outcome: Outcome) -> None:
    network = outcome.network
    assert network.macs == 21_664
    assert list(network.types) == [
        "input", "conv1", "conv1_requantise", "conv2", "conv2_requantise", "conv2_pool",
        "flatten", "fc", "argmax",
    ]  # fmt: skip
    for node in network.nodes:
        if isinstance(node.op, Conv | Linear):
            type = network.types[node.name]
            assert node.op.accumulator_bits == signed_bits(type.low, type.high)
        if isinstance(node.op, Requantise):
            assert node.op.alpha.min() >= 1
            assert node.op.bits == 4


def test_the_network_says_where_it_comes_from(outcome: Outcome) -> None:
    source = outcome.network.provenance
    assert source is not None
    score = outcome.score
    assert (source.recipe, source.seed, source.test_images) == ("digits_w4a4", 0, 360)
    assert source.dataset.startswith(
        "scikit-learn digits, 8x8, 4-bit codes, 1300 training, 137 validation, 360 test"
    )
    assert (source.float_correct, source.teacher_correct, source.student_correct) == (
        score.float, score.teacher, score.student,
    )  # fmt: skip
    assert score.network == score.student
    assert score.student > 270


def test_the_teacher_that_the_student_imitated_is_quantised_and_frozen(outcome: Outcome) -> None:
    assert outcome.teacher.quantised
    assert not outcome.teacher.training
    assert not any(parameter.requires_grad for parameter in outcome.teacher.parameters())


def test_the_same_seed_gives_the_same_bytes(
    short: Recipe, outcome: Outcome, journal: Journal, tmp_path: Path
) -> None:
    torch.manual_seed(123)  # nobody's global state may matter
    torch.rand(3)
    np.random.seed(7)
    save(outcome.network, tmp_path / "first")
    save(train(short, 0, None, journal).network, tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_another_seed_gives_another_network_for_the_same_test_images(
    short: Recipe, outcome: Outcome, journal: Journal
) -> None:
    other = train(short, 1, None, journal)
    assert np.array_equal(other.test_set.images, outcome.test_set.images)
    assert not np.array_equal(
        other.network.nodes[0].op.weights.codes, outcome.network.nodes[0].op.weights.codes
    )


def test_training_leaves_torch_as_it_found_it(short: Recipe, journal: Journal) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    quick = replace(short, teacher=replace(short.teacher, schedule=replace(short.teacher.schedule, epochs=1)))
    train(quick, 0, None, journal)
    after = torch.get_num_threads()
    torch.set_num_threads(threads)
    assert after == 2
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_the_journal_has_every_epoch_of_every_stage(short: Recipe, journal: Journal) -> None:
    train(short, 0, None, journal)
    stages = [(record.stage, record.epoch) for record in journal.records]
    assert stages == [
        ("float", 1), ("teacher", 1), ("teacher", 2), ("teacher", 3), ("teacher", 4),
        ("student conv1", 1), ("student conv2", 1), ("student fc", 1),
    ]  # fmt: skip
    assert all(record.loss >= 0 and 0 <= record.accuracy <= 1 for record in journal.records)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits_w4a4", "digits_w4a4_layer"])
def test_the_shipped_recipe_reaches_its_teacher(name: str, journal: Journal, tmp_path: Path) -> None:
    outcome = train(load_recipe(name), 0, None, journal)
    save(outcome.network, tmp_path / "network")
    labels = outcome.dataset.test.labels
    correct = int((load(tmp_path / "network").run(outcome.dataset.test.images) == labels).sum())
    assert correct == outcome.score.network >= 0.95 * 360
    assert correct >= outcome.score.teacher - 0.01 * 360
    assert not [warning for layer in outcome.health for warning in layer.warnings()]
