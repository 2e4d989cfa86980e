"""Every architecture has the shapes and sizes of its paper, and mistakes are named."""

from dataclasses import replace

import pytest

from codegen.errors import UserError
from model.networks import Conv, Residual, image_shape, topology
from model.recipe import Architecture, Bits, LayerBits, Network

BITS = Bits(weights=2, edge_weights=8, activations=3)


def weights_of(network: Network) -> dict[str, int]:
    return {layer.name: layer.outputs * layer.fan_in for layer in topology(network, BITS).layers}


@pytest.mark.parametrize(
    ("name", "classes", "weights", "layers"),
    [
        (Architecture.DIGITS, 10, 8 * 9 + 16 * 72 + 640, 3),
        (Architecture.LENET, 10, 150 + 2_400 + 48_000 + 10_080 + 840, 5),
        (Architecture.VGG_SMALL, 10, 4_656_512, 7),
        (Architecture.ALEXNET, 1000, 61_090_496, 8),
        (Architecture.RESNET18, 1000, 11_678_912, 21),
    ],
)
def test_an_architecture_has_the_weights_of_its_paper(
    name: Architecture, classes: int, weights: int, layers: int
) -> None:
    counted = weights_of(Network(name, classes))
    assert (sum(counted.values()), len(counted)) == (weights, layers)


def test_images_are_what_the_architecture_was_made_for_or_as_asked() -> None:
    assert image_shape(Network(Architecture.ALEXNET)) == (224, 224, 3)
    assert image_shape(Network(Architecture.VGG_SMALL, size=48)) == (48, 48, 3)
    assert topology(Network(Architecture.VGG_SMALL, size=48), BITS).layers[-1].inputs == 6 * 6 * 512


def test_both_ends_have_wider_weights_and_every_layer_may_have_its_own() -> None:
    layers = topology(Network(Architecture.LENET), BITS).layers
    assert [layer.weight_bits for layer in layers] == [8, 2, 2, 2, 8]
    assert [layer.input_bits for layer in layers] == [8, 3, 3, 3, 3]
    assert [layer.activation_bits for layer in layers] == [3, 3, 3, 3, None]
    mixed = replace(BITS, layers={"conv1": LayerBits(1, 5), "fc2": LayerBits(weights=4)})
    layers = topology(Network(Architecture.LENET), mixed).layers
    assert [layer.weight_bits for layer in layers] == [1, 2, 2, 4, 8]
    assert [layer.input_bits for layer in layers] == [8, 5, 3, 3, 3]
    assert layers[0].activation_bits == 5


def test_width_multiplies_all_channels_but_those_of_image_and_classes() -> None:
    layers = topology(Network(Architecture.VGG_SMALL, width=0.25), BITS).layers
    assert [(layer.inputs, layer.outputs) for layer in layers] == [
        (3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128), (4 * 4 * 128, 10),
    ]  # fmt: skip


def test_residual_blocks_have_a_convolution_where_the_shape_changes() -> None:
    parts = topology(Network(Architecture.RESNET18, width=0.125, size=32), BITS).parts
    blocks = [part for part in parts if isinstance(part, Residual)]
    assert [len(block.shortcut) for block in blocks] == [0, 0, 1, 0, 1, 0, 1, 0]
    assert isinstance(parts[0], Conv)
    assert (parts[0].kernel, parts[0].pool) == (3, None)
    large = topology(Network(Architecture.RESNET18), BITS).parts[0]
    assert isinstance(large, Conv)
    assert (large.kernel, large.stride, large.padding) == (7, 2, 3)


def test_a_block_whose_input_has_other_codes_gets_a_convolution_too() -> None:
    bits = replace(BITS, layers={"conv1": LayerBits(activations=5)})
    blocks = [
        p for p in topology(Network(Architecture.RESNET18, size=32), bits).parts if isinstance(p, Residual)
    ]
    assert [len(block.shortcut) for block in blocks][:2] == [1, 0]


def test_codes_that_are_added_must_be_as_wide() -> None:
    bits = replace(BITS, layers={"block2a_shortcut": LayerBits(activations=4)})
    with pytest.raises(
        UserError, match=r"give block2a_conv2 and block2a_shortcut the same .* not 3 and 4 bits$"
    ):
        topology(Network(Architecture.RESNET18, size=32), bits)


def test_an_unknown_layer_is_named_with_the_nearest() -> None:
    bits = replace(BITS, layers={"con2": LayerBits(weights=1)})
    with pytest.raises(UserError) as error:
        topology(Network(Architecture.DIGITS), bits)
    assert str(error.value) == (
        "bits.layers must name layers of conv1, conv2, fc, not 'con2'; did you mean 'conv2'?"
    )


def test_images_too_small_for_the_layers_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"^network.size must leave the pooling behind conv2 at least 3 pixels, not "
    ):
        topology(Network(Architecture.ALEXNET, size=27), BITS)
