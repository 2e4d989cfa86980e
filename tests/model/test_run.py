"""A whole training: equality with the integer network, determinism, provenance."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.ir import Conv, Linear, Provenance, Requantise, load, save, signed_bits
from model.batches import to_codes
from model.export import check_equal, export
from model.journal import Journal
from model.networks import topology
from model.recipe import Bits, LayerBits, Method, Network, Recipe, Scale
from model.recipe import load as load_recipe
from model.run import Outcome, Settings, load_teacher, save_teacher, train
from model.student import Student
from model.tandem import initialise
from model.teacher import Teacher
from model.training import stage_seed

from .conftest import quiet
from .small import SMALL, images, options, teacher_of


def run(recipe: Recipe, journal: Journal, seed: int = 0, settings: Settings = Settings()) -> Outcome:
    outcome = train(recipe, seed, None, journal, settings)
    assert outcome is not None
    return outcome


def everything(outcome: Outcome) -> NDArray[np.uint8]:
    parts = (outcome.dataset.train, outcome.dataset.validation, outcome.dataset.test)
    return to_codes(np.concatenate([part.images for part in parts]), 8, 4)


def test_student_and_network_agree_at_every_node_for_every_image(outcome: Outcome) -> None:
    codes = everything(outcome)
    assert len(codes) == 1797
    assert len(check_equal(outcome.student, outcome.network, codes)) == 1797


@pytest.mark.parametrize(
    ("weights", "edges", "activations", "scale", "fraction"),
    [
        (1, 1, 1, Scale.LAYER, 0),
        (1, 8, 1, Scale.CHANNEL, 12),
        (2, 3, 2, Scale.LAYER, 5),
        (8, 8, 8, Scale.CHANNEL, 24),
    ],
)
@pytest.mark.parametrize("network", SMALL)
def test_every_architecture_agrees_at_every_node(
    network: Network, weights: int, edges: int, activations: int, scale: Scale, fraction: int
) -> None:
    layers = topology(network, Bits(weights, edges, activations))
    teacher, codes = teacher_of(layers), images(layers, 20)
    student = Student(layers, options(scale, fraction))
    initialise(student, teacher, [codes], options(scale, fraction), torch.Generator())
    integers = export(student, "one", Provenance("one", 0, "none", 20, 0, 0))
    pixels = codes.permute(0, 2, 3, 1).numpy().astype(np.uint8)
    check_equal(student, integers, pixels)
    if network.name.value != "resnet18":  # whose deeper codes may all be the same where weights are random
        assert len(np.unique(integers.trace(pixels)[layers.layers[-1].name])) > 1


def test_layers_of_mixed_widths_agree(short: Recipe, journal: Journal) -> None:
    mixed = {
        "conv1": LayerBits(weights=5, activations=3),
        "conv2": LayerBits(weights=2),
        "fc": LayerBits(weights=3),
    }
    outcome = run(replace(short, bits=replace(short.bits, layers=mixed)), journal)
    widths = [(n.op.weights.bits) for n in outcome.network.nodes if isinstance(n.op, Conv | Linear)]
    assert widths == [5, 2, 3]
    assert [n.op.bits for n in outcome.network.nodes if isinstance(n.op, Requantise)] == [3, 4]


def test_a_student_that_differs_is_reported_with_the_first_place(outcome: Outcome) -> None:
    changed = replace(outcome.network.nodes[1].op, beta=outcome.network.nodes[1].op.beta + 10**6)
    nodes = list(outcome.network.nodes)
    nodes[1] = replace(nodes[1], op=changed)
    network = replace(outcome.network, nodes=tuple(nodes))
    with pytest.raises(
        AssertionError,
        match=r"^conv1_requantise differs in \d+ of 2880 places, first at \[0 0 0 \d\]: expected 1?\d, got ",
    ):
        check_equal(outcome.student, network, outcome.test_set.images[:10])


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
    assert source.dataset.startswith("scikit-learn digits, 8x8, 1,300 training, 137 validation, 360 test")
    assert (source.float_correct, source.teacher_correct, source.student_correct) == (
        score.float, score.teacher, score.student,
    )  # fmt: skip
    assert score.network == score.student
    assert score.student > 270


def test_the_teacher_that_the_student_imitated_is_quantised_and_frozen(outcome: Outcome) -> None:
    assert outcome.teacher.quantised and outcome.teacher.layer("conv1").quantised
    assert not outcome.teacher.training
    assert not any(parameter.requires_grad for parameter in outcome.teacher.parameters())


def test_the_same_seed_gives_the_same_bytes(
    short: Recipe, outcome: Outcome, journal: Journal, tmp_path: Path
) -> None:
    torch.manual_seed(123)  # nobody's global state may matter
    torch.rand(3)
    np.random.seed(7)
    save(outcome.network, tmp_path / "first")
    save(run(short, journal).network, tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_another_seed_gives_another_network_for_the_same_test_images(
    short: Recipe, outcome: Outcome, journal: Journal
) -> None:
    other = run(short, journal, seed=1)
    assert np.array_equal(other.test_set.images, outcome.test_set.images)
    assert not np.array_equal(
        other.network.nodes[0].op.weights.codes, outcome.network.nodes[0].op.weights.codes
    )


def test_every_epoch_of_every_stage_has_random_numbers_of_its_own() -> None:
    seeds = {
        stage_seed(seed, stage, epoch)
        for seed in range(3)
        for stage in ("float", "teacher")
        for epoch in range(5)
    }
    assert len(seeds) == 30
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_training_leaves_torch_as_it_found_it(short: Recipe, journal: Journal) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    quick = replace(short, teacher=replace(short.teacher, schedule=replace(short.teacher.schedule, epochs=1)))
    run(quick, journal)
    after = torch.get_num_threads()
    torch.set_num_threads(threads)
    assert after == 2
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_the_journal_has_every_epoch_of_every_stage(short: Recipe, journal: Journal) -> None:
    run(short, journal)
    stages = [(record.stage, record.epoch) for record in journal.records]
    assert stages == [
        ("float", 1), ("teacher", 1), ("teacher", 2), ("teacher", 3), ("teacher", 4),
        ("student conv1", 1), ("student conv2", 1), ("student fc", 1),
    ]  # fmt: skip
    assert all(record.loss >= 0 and 0 <= record.accuracy <= 1 for record in journal.records)


def test_a_student_may_learn_from_the_teacher_of_another_run(
    short: Recipe, outcome: Outcome, journal: Journal, tmp_path: Path
) -> None:
    (tmp_path / "teacher").write_bytes(save_teacher(outcome))
    settings = Settings(teacher=tmp_path / "teacher")
    same = run(short, journal, settings=settings)
    assert [record.stage for record in journal.records] == ["student conv1", "student conv2", "student fc"]
    assert same.score == outcome.score
    save(outcome.network, tmp_path / "first")
    save(same.network, tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_teacher_of_another_network_is_refused(outcome: Outcome, short: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    path.write_bytes(save_teacher(outcome))
    other = Teacher(topology(SMALL[1], short.bits), torch.Generator())
    with pytest.raises(
        UserError, match=r"teacher.safetensors' must be the teacher.safetensors of a run with the"
    ):
        load_teacher(other, path)
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="must be the teacher"):
        load_teacher(outcome.teacher, path)


@pytest.mark.parametrize("method", [Method.TOGETHER, Method.END_TO_END])
def test_the_other_methods_train_all_layers_in_one_stage(
    method: Method, short: Recipe, journal: Journal
) -> None:
    outcome = run(replace(short, student=replace(short.student, method=method)), journal)
    assert [record.stage for record in journal.records][5:] == ["student"]
    assert outcome.score.network == outcome.score.student > 200


def test_a_collapse_is_named_while_it_trains(short: Recipe) -> None:
    """A scale without fraction bits or offset saturates: it is what the published form does."""
    journal = quiet()
    student = replace(short.student, scale=Scale.LAYER, fraction=0, offset=False)
    run(replace(short, student=replace(student, schedule=replace(student.schedule, epochs=0))), journal)
    assert any("layer conv1 of the student costs" in text for text in journal.warnings), journal.warnings


def test_a_loss_that_is_no_number_is_told(short: Recipe, journal: Journal) -> None:
    schedule = replace(short.teacher.schedule, learning_rate=1.0)
    recipe = replace(short, teacher=replace(short.teacher, float_epochs=0, schedule=schedule))

    class Broken(Teacher):
        def logits(self, codes: torch.Tensor) -> torch.Tensor:
            return super().logits(codes) * float("nan")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.run.Teacher", Broken)
        with pytest.raises(
            UserError, match=r"^the loss of stage float must stay a number, not nan; lower its"
        ):
            run(replace(recipe, teacher=replace(recipe.teacher, float_epochs=1)), journal)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits_w4a4", "digits_w4a4_layer"])
def test_the_shipped_recipe_reaches_its_teacher(name: str, journal: Journal, tmp_path: Path) -> None:
    outcome = run(load_recipe(name), journal)
    save(outcome.network, tmp_path / "network")
    labels = outcome.dataset.test.labels
    correct = int((load(tmp_path / "network").run(outcome.test_set.images) == labels).sum())
    assert correct == outcome.score.network >= 0.95 * 360
    assert correct >= outcome.score.teacher - 0.01 * 360
    assert not [warning for layer in outcome.health for warning in layer.warnings()]
