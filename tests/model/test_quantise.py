"""The quantisers against values computed by hand, and requantisation against its definition, by equality."""

import numpy as np
import pytest
import torch

from codegen import ir
from codegen.errors import UserError
from model.quantise import (
    dorefa_activation,
    dorefa_weights,
    exact_dtype,
    largest_sum,
    odd_weights,
    requantise,
    rounded,
    straight_through,
)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_two_bit_weights_by_hand() -> None:
    latent = torch.atanh(torch.tensor([0.8, 0.4, -0.1, -0.8], dtype=torch.float64))
    # tanh / (2 * 0.8) + 1/2 = 1, 0.75, 0.4375, 0; times 3 and rounded: 3, 2, 1, 0
    assert odd_weights(latent, 2).tolist() == [3, 1, -1, -3]
    assert dorefa_weights(latent, 2).tolist() == [1, 1 / 3, -1 / 3, -1]


def test_the_largest_weight_is_that_of_the_whole_tensor() -> None:
    latent = torch.atanh(torch.tensor([[0.8, 0.8], [0.2, -0.2]], dtype=torch.float64))
    assert odd_weights(latent, 3).tolist() == [[7, 7], [1, -1]]  # 7 * 0.625 = 4.375, 7 * 0.375 = 2.625


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_binary_weights_are_signs_and_zero_counts_as_positive(zero: float) -> None:
    latent = tensor(-0.5, zero, 0.25)
    assert odd_weights(latent, 1).tolist() == [-1, 1, 1]
    assert dorefa_weights(latent, 1).tolist() == [-0.25, 0.25, 0.25]  # E = 0.75 / 3


@pytest.mark.parametrize("bits", range(1, 9))
def test_weights_are_odd_in_range_and_negate_exactly(bits: int) -> None:
    latent = torch.randn(500, generator=torch.Generator().manual_seed(bits), dtype=torch.float64)
    odd = odd_weights(latent, bits)
    codes = (odd + 2**bits - 1) / 2
    assert torch.equal(codes, codes.round())
    assert (codes.min(), codes.max()) == (0, 2**bits - 1)
    assert torch.equal(odd_weights(-latent, bits), -odd)


@pytest.mark.parametrize("bits", [1, 4])
def test_weights_of_a_tensor_of_zeros_are_finite(bits: int) -> None:
    assert odd_weights(torch.zeros(3, dtype=torch.float64), bits).isfinite().all()


def test_activations_by_hand() -> None:
    x = torch.tensor([-0.2, 0.0, 0.16, 0.17, 0.5, 0.9, 2.0], dtype=torch.float64)
    # times 3: 0, 0, 0.48, 0.51, 1.5 (to the even 2), 2.7, 3
    assert (dorefa_activation(x, 2) * 3).tolist() == [0, 0, 0, 1, 2, 3, 3]
    assert dorefa_activation(x, 1).tolist() == [0, 0, 0, 0, 0, 1, 1]


def test_straight_through_has_one_value_and_the_other_gradient() -> None:
    soft = tensor(0.1, 0.2)
    result = straight_through(torch.tensor([7.0, 1 / 3], dtype=torch.float64), soft * 3)
    result.backward(torch.tensor([1.0, 10.0], dtype=torch.float64))
    assert result.tolist() == [7.0, 1 / 3]
    assert soft.grad is not None
    assert soft.grad.tolist() == [3, 30]


def test_gradients_pass_the_rounding_and_stop_at_the_clip() -> None:
    x, y = tensor(0.2, 1.7), tensor(-0.1, 0.3, 0.99, 1.2)
    rounded(x).sum().backward()
    dorefa_activation(y, 3).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert x.grad.tolist() == [1, 1]
    assert y.grad.tolist() == [0, 1, 1, 0]


def test_gradient_of_weights_is_that_of_the_formula_without_rounding() -> None:
    latent, smooth = tensor(-0.7, 0.1, 0.4), tensor(-0.7, 0.1, 0.4)
    weights = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    (dorefa_weights(latent, 4) * weights).sum().backward()
    (torch.tanh(smooth) / torch.tanh(smooth).abs().max() * weights).sum().backward()
    assert latent.grad is not None
    torch.testing.assert_close(latent.grad, smooth.grad)


def test_gradient_of_binary_weights_is_the_identity() -> None:
    latent = tensor(-0.7, 0.1, 3.0)
    (dorefa_weights(latent, 1) * torch.tensor([1.0, -2.0, 3.0])).sum().backward()
    assert latent.grad is not None
    assert latent.grad.tolist() == [1, -2, 3]


@pytest.mark.parametrize("seed", range(60))
def test_requantise_is_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    weight_bits, bits, fraction = (int(random.integers(low, high)) for low, high in ((1, 9), (1, 9), (0, 25)))
    d = (2**weight_bits - 1) * 2**fraction
    channels = 5
    shape = (channels,) if random.random() < 0.5 else ()
    alpha = np.asarray(random.integers(1, 2 ** int(random.integers(1, 28)), shape))
    reach = 2 + min(2**24, 2 ** (bits + 2) * d // int(alpha.max()))
    acc = random.integers(-reach, reach, (50, 3, 4, channels))
    beta = np.asarray(random.integers(-4 * d, 4 * d, shape))
    arguments = (weight_bits, fraction, bits)
    expected = ir.requantise(acc, alpha, beta, *arguments)
    sums = torch.from_numpy(acc.transpose(0, 3, 1, 2).astype(np.float32))
    alphas, betas = (torch.from_numpy(array.astype(np.float64)) for array in (alpha, beta))
    for rank, some in ((4, sums), (2, sums[:, :, 0, 0])):
        got = requantise(some, reach, alphas, betas, *arguments)
        wanted = expected if rank == 4 else expected[:, 0, 0]
        case = f"seed {seed}: W {weight_bits}, A {bits}, f {fraction}, alpha {alpha}, beta {beta}"
        assert got.dtype == torch.float32
        assert np.array_equal(got.movedim(1, -1).numpy(), wanted), case


def test_requantise_is_exact_at_every_edge_of_a_step() -> None:
    """One below, at and above each threshold, with products that floats hold."""
    alpha, d = 2**20 + 1, 255 * 2**24
    edges = np.array([((2 * k - 1) * d) // (2 * alpha) for k in range(1, 256)])
    acc = (edges[:, None] + np.arange(-1, 3)).reshape(-1, 1, 1, 1)
    expected = ir.requantise(acc, np.array(alpha), np.array(0), 8, 24, 8)
    sums = torch.from_numpy(acc.astype(np.float32))
    assert np.array_equal(sums.numpy(), acc)
    got = requantise(sums, 2**24, torch.tensor(float(alpha)).double(), torch.zeros(()).double(), 8, 24, 8)
    assert np.array_equal(got.numpy(), expected)
    assert len(np.unique(expected)) == 256


@pytest.mark.parametrize("k", [1, 2, 17, 128, 255])
def test_requantise_is_exact_where_products_are_too_large_for_floats(k: int) -> None:
    """Products of 2 mod 4 beyond 2^54, where floats are 4 apart, 2 below the one that reaches code k."""
    d = 255 * 2**24
    for acc in range(2**24 - 41, 2**24, 2):
        alpha = 2**30 + 1
        beta = d * k - 1 - d // 2 - alpha * acc
        expected = ir.requantise([acc], np.array(alpha), np.array(beta), 8, 24, 8)
        assert expected.tolist() == [k - 1]
        got = requantise(
            torch.tensor([[float(acc)]]), 2**24, tensor(alpha).detach(), tensor(beta).detach(), 8, 24, 8
        )
        assert got.tolist() == [[k - 1]], acc


def test_requantise_gives_the_same_codes_with_and_without_a_gradient() -> None:
    acc = torch.arange(-300.0, 300).reshape(-1, 1)
    arguments = (300, tensor(37), tensor(-500), 4, 6, 4)
    with torch.no_grad():
        plain = requantise(acc, *arguments)
    assert torch.equal(requantise(acc.requires_grad_(), *arguments), plain)


def test_requantise_refuses_what_64_bits_cannot_hold() -> None:
    with pytest.raises(UserError, match=r"^a scale must keep its products below 2\^63, not at \d+; use a"):
        requantise(tensor(1).reshape(1, 1), 2**24, tensor(2.0**40), tensor(0), 8, 24, 8)


def test_requantise_rounds_halves_up_on_both_sides_of_zero() -> None:
    acc = tensor(-3, -2, -1, 0, 1, 2, 3, 29, 30).reshape(-1, 1, 1, 1)
    codes = requantise(acc, 30, tensor(1), tensor(2), weight_bits=1, fraction=1, bits=4)  # (acc + 2) / 2
    assert codes.flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 15, 15]


def test_gradient_of_requantise_is_that_of_the_line_between_the_clips() -> None:
    acc = tensor(-900, 10, 900).reshape(1, 3, 1, 1).detach().requires_grad_()
    alpha, beta = tensor(3, 5, 7), tensor(1, 2, 3)
    requantise(acc, 900, alpha, beta, weight_bits=2, fraction=2, bits=4).sum().backward()  # d = 12
    assert acc.grad is not None
    assert alpha.grad is not None
    assert beta.grad is not None
    assert acc.grad.flatten().tolist() == pytest.approx([0, 5 / 12, 0])
    assert alpha.grad.tolist() == pytest.approx([0, 10 / 12, 0])
    assert beta.grad.tolist() == pytest.approx([0, 1 / 12, 0])


def test_sums_take_the_smallest_float_that_holds_them() -> None:
    assert exact_dtype("fc", 2**24 - 1) == torch.float32
    assert exact_dtype("fc", 2**24) == torch.float64
    assert exact_dtype("fc", 2**53 - 1) == torch.float64
    with pytest.raises(UserError) as error:
        exact_dtype("fc", 2**53)
    assert str(error.value) == (
        "layer fc must keep its sums below 2^53 to be exact, not at 9007199254740992; "
        "use fewer weight or activation bits"
    )


def test_the_largest_sum_is_that_of_the_heaviest_channel() -> None:
    weights = torch.tensor([[[1.0, -3.0]], [[15.0, 1.0]], [[-7.0, 7.0]]])
    assert largest_sum(weights, 4) == 16 * 15
