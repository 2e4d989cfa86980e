"""What a wrong network or a wrong image is told. docs/ir.md lists these sentences, and they are these."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from codegen.ir import (
    Add,
    Argmax,
    AvgPool,
    Conv,
    DorefaWeights,
    Flatten,
    IntegerNetwork,
    IrError,
    Linear,
    MaxPool,
    Node,
    Op,
    Provenance,
    Requantise,
    TensorType,
    TestSet,
)

CODES = np.array([[[[1], [0]]], [[[1], [1]]]])  # (2, 1, 2, 1): weights [1, -1] and [1, 1]
WEIGHTS = DorefaWeights(CODES, 1)
FLAT = DorefaWeights(np.ones((2, 3), int), 1)
IMAGE = TensorType((4, 4, 1), 0, 15)


def _network(*nodes: tuple[str, Op, str], input: TensorType = IMAGE) -> IntegerNetwork:
    return IntegerNetwork(
        "net", input, tuple(Node(name, op, tuple(reads.split())) for name, op, reads in nodes)
    )


def _conv(**changed: object) -> Conv:
    return Conv(**{"weights": WEIGHTS, "accumulator_bits": 6, **changed})  # type: ignore[arg-type]


def _scale(**changed: object) -> Requantise:
    right = {"alpha": np.array(1), "beta": np.array(0), "weight_bits": 1, "fraction": 0, "bits": 4}
    return Requantise(**{**right, **changed})  # type: ignore[arg-type]


def _run(images: object) -> object:
    return _network(("pool", MaxPool((2, 2), (2, 2)), "input")).run(images)  # type: ignore[arg-type]


def _test_set(**changed: object) -> TestSet:
    right = {"images": np.zeros((2, 4, 4, 1), np.uint8), "labels": np.array([0, 1])}
    return TestSet(**{**right, **changed})  # type: ignore[arg-type]


def _provenance(**changed: object) -> Provenance:
    right = {
        "recipe": "r",
        "seed": 0,
        "dataset": "d",
        "test_images": 5,
        "teacher_correct": 4,
        "student_correct": None,
    }
    return Provenance(**{**right, **changed})  # type: ignore[arg-type]


CASES: list[tuple[Callable[[], object], str]] = [
    # Operations
    (
        lambda: DorefaWeights(np.array([[0, 2]]), 1),
        "a 1-bit code must be in 0..1, not 2 at (0, 1)",
    ),
    (
        lambda: _conv(weights=DorefaWeights(np.array([[0, 1]]), 1)),
        "weight codes of conv must have the shape (out, ky, kx, in/groups), not (1, 2)",
    ),
    (lambda: Linear(WEIGHTS, 4), "weight codes of linear must have the shape (out, in), not (2, 1, 2, 1)"),
    (
        lambda: _conv(weights=CODES.tolist()),
        "the weights of conv must be DorefaWeights, not [[[[1], [0]]], [[[1], [1]]]]",
    ),
    (lambda: _conv(stride=(0, 1)), "each part of stride must be in 1..134217728, not 0"),
    (lambda: _conv(stride=2), "stride must be a tuple (y, x), not 2"),
    (
        lambda: _conv(padding=(1, 0)),
        "padding must be below the kernel (1, 2), so that each window meets the map, not (1, 0)",
    ),
    (lambda: _conv(groups=4), "groups must be in 1..2, not 4"),
    (
        lambda: Conv(DorefaWeights(np.ones((3, 1, 1, 1), int), 1), groups=2, accumulator_bits=6),
        "groups must divide the 3 output channels, not be 2",
    ),
    (lambda: _conv(accumulator_bits=63), "accumulator_bits must be in 1..62, not 63"),
    (lambda: _scale(alpha=np.array([4, 0])), "alpha must be above 0, not 0, as in channel 1"),
    (
        lambda: _scale(alpha=np.array([4, 1]), beta=np.array([1, 2, 3])),
        "beta must have one value, or 2 as alpha, not 3",
    ),
    (lambda: _scale(fraction=63), "fraction must be in 0..62, not 63"),
    (
        lambda: MaxPool((2, 2), (2, 2), (2, 0)),
        "padding must be below the kernel (2, 2), so that each window meets the map, not (2, 0)",
    ),
    # Graph
    (
        lambda: _network(("a", _conv(accumulator_bits=5), "input")),
        "node 'a': accumulator_bits must hold every sum, but channel 1 reaches 0..30, "
        "which 5 bits do not hold; this layer needs 6",
    ),
    (
        lambda: _network(("a", _conv(groups=2), "input")),
        "node 'a': weight codes (2, 1, 2, 1) in 2 group(s) must read 2 channels, not the 1 of (4, 4, 1)",
    ),
    (
        lambda: _network(("a", Flatten(), "input"), ("b", Linear(FLAT, 9), "a")),
        "node 'b': weight codes (2, 3) must read 3 inputs, not 16",
    ),
    (
        lambda: _network(("a", AvgPool((5, 4), (1, 1)), "input")),
        "node 'a': a kernel must fit the padded input, 4x4, not be 5x4",
    ),
    (
        lambda: _network(("a", _scale(alpha=np.array([1, 2])), "input")),
        "node 'a': alpha must have one value, or 1, not 2",
    ),
    (
        lambda: _network(("a", MaxPool((2, 2), (2, 2)), "input"), ("b", Add(), "a input")),
        "node 'b': add must have inputs of equal shape, not (2, 2, 1) and (4, 4, 1)",
    ),
    (lambda: _network(("a", Add(), "input")), "node 'a': add must have 2 input(s), not 1"),
    (
        lambda: _network(("a", Argmax(), "input")),
        "node 'a': argmax must read a vector (K,), not a tensor of shape (4, 4, 1)",
    ),
    (
        lambda: _network(("a", _scale(), "input"), ("b", _scale(), "c")),
        "node 'b' must read the input or an earlier node, not 'c', which is neither; known here: input, a",
    ),
    (
        lambda: _network(("a", _scale(), "a")),
        "node 'a' must read the input or an earlier node, not 'a', which is neither; known here: input",
    ),
    (
        lambda: _network(("a", _scale(), "input"), ("a", _scale(), "a")),
        "each name must be given once, but 'a' is taken; rename the later node",
    ),
    (
        lambda: _network(("input", _scale(), "input")),
        "each name must be given once, but 'input' is taken; rename the later node",
    ),
    (
        lambda: _network(("a", _scale(), "input"), ("b", _scale(), "input")),
        "each node but the last must be read by a later one, but 'a' is not",
    ),
    (lambda: _network(), "a network's nodes must be a tuple of one Node or more, not ()"),
    (
        lambda: Node("1a", _scale(), ("input",)),
        "a node's name must be a letter or '_', then letters, digits, '_' or '.', not '1a'",
    ),
    (
        lambda: IntegerNetwork("a/b", IMAGE, (Node("a", _scale(), ("input",)),)),
        "a network's name must be a letter or '_', then letters, digits, '_' or '.', not 'a/b'",
    ),
    (
        lambda: Node("a", "conv", ("input",)),  # type: ignore[arg-type]
        "node 'a' must have an operation of codegen.ir, not 'conv'",
    ),
    (
        lambda: Node("a", _scale(), "input"),  # type: ignore[arg-type]
        "node 'a' must read a tuple of names, not 'input'",
    ),
    (
        lambda: _network(("a", Flatten(), "input"), input=TensorType((), 0, 1)),
        "a network must read a TensorType of (H, W, C) or (K,), not TensorType(shape=(), low=0, high=1)",
    ),
    (
        lambda: dataclasses.replace(_network(("a", Flatten(), "input")), provenance="me"),  # type: ignore[arg-type]
        "provenance must be a Provenance or None, not 'me'",
    ),
    (lambda: _provenance(student_correct=6), "student_correct must be in 0..5, not 6"),
    (
        lambda: _provenance(recipe="a\nb"),
        "recipe must be printable text of at most 200 characters, not 'a\\nb'",
    ),
    # Images
    (lambda: _run(np.zeros((4, 4, 1), int)), "images must have the shape (N, 4, 4, 1), not (4, 4, 1)"),
    (lambda: _run(3), "images must have the shape (N, 4, 4, 1), not ()"),
    (lambda: _run(np.zeros((2, 4, 4, 1))), "images must be integers, not of dtype float64"),
    (lambda: _run(np.full((2, 4, 4, 1), 16)), "images must have values in 0..15, not 16..16"),
    (lambda: _run(np.full((2, 4, 4, 1), -1)), "images must have values in 0..15, not -1..-1"),
    (
        lambda: TestSet(np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64)),
        "a test set's images must be uint8 of shape (N, H, W, C), at least one, not uint8 of shape (2, 4, 4)",
    ),
    (
        lambda: TestSet(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int64)),
        "a test set's labels must be int64 of shape (2,), one per image, not int64 of shape (3,)",
    ),
    (
        lambda: TestSet(np.zeros((2, 4, 4, 1), np.uint8), np.array([0, -1])),
        "a test set's labels must be at least 0, not -1",
    ),
    (
        lambda: TestSet(np.zeros((0, 4, 4, 1), np.uint8), np.zeros(0, np.int64)),
        "a test set's images must be uint8 of shape (N, H, W, C), at least one, "
        "not uint8 of shape (0, 4, 4, 1)",
    ),
    (
        lambda: TestSet(np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 2]), ("cat", "dog")),
        "a test set's labels must be below 2, the number of its classes, not 2",
    ),
    (
        lambda: _test_set(answers={"teacher": np.array([0, 0, 0])}),
        "a test set's answers of 'teacher' must be int64 of shape (2,), one per image, "
        "not int64 of shape (3,)",
    ),
    (
        lambda: _test_set(answers={"a b": np.array([0, 0])}),
        "the name of a test set's answers must be a letter or '_', then letters, digits, '_' or '.', "
        "not 'a b'",
    ),
    # Classes
    (
        lambda: _test_set(classes=["cat", "dog"]),
        "classes must be a tuple of at most 65,536 names, not ['cat', 'dog']",
    ),
    (
        lambda: _test_set(classes=("cat", "")),
        "the name of a class must be printable text of 1 to 200 characters, not ''",
    ),
    (
        lambda: _test_set(classes=("cat", "do\ng")),
        "the name of a class must be printable text of 1 to 200 characters, not 'do\\ng'",
    ),
    (
        lambda: dataclasses.replace(_network(("a", Flatten(), "input")), classes=("cat", "dog")),
        "a network's classes must be as many as its output has values, not 2 for 0..15 of shape (16,)",
    ),
    (
        lambda: dataclasses.replace(
            _network(("a", Flatten(), "input"), ("b", Argmax(), "a")), classes=("cat", "dog")
        ),
        "a network's classes must be as many as its output has values, not 2 for 0..15 of shape ()",
    ),
    (
        lambda: dataclasses.replace(_network(("a", Flatten(), "input")), side=3),
        "the side of pictures must be in 4..65535, not 3",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "sentence"), CASES, ids=[sentence for _, sentence in CASES])
def test_a_mistake_is_told_in_these_words(
    mistake: Callable[[], object], sentence: str, documented: Callable[[str], bool]
) -> None:
    with pytest.raises(IrError) as error:
        mistake()
    assert str(error.value) == sentence
    assert documented(sentence)
