"""The quantisers: DoReFa-Net (arXiv 1606.06160) for the teacher, exact integers for the student.

A quantiser is piecewise constant: `straight_through` gives it the gradient of a smooth stand-in.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from codegen.errors import UserError

EXACT_FLOAT32, EXACT_FLOAT64 = 2**24, 2**53


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hard: Tensor, soft: Tensor) -> Tensor:
        return hard.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0]


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard`, bit for bit, with the gradient of `soft` (arXiv 1308.3432); equal shapes."""
    result: Tensor = _StraightThrough.apply(hard.detach(), soft)  # type: ignore[no-untyped-call]
    return result


def rounded(x: Tensor) -> Tensor:
    """Round to the nearest integer, ties to even; identity gradient."""
    return straight_through(x.round(), x)


def odd_weights(latent: Tensor, bits: int) -> Tensor:
    """DoReFa's weights times n = 2^bits - 1: odd integers `2r - n`, r in 0..n, in the latent's dtype.

    bits > 1: `r = round(n * (tanh(w) / (2 max|tanh(w)|) + 1/2))`, the maximum over the whole tensor.
    bits = 1: sign(w), with sign(0) = +1; DoReFa's factor E is left to the caller.
    """
    if bits == 1:
        return straight_through(_sign(latent), latent)
    levels = 2**bits - 1
    squashed = torch.tanh(latent)
    unit = squashed / (2 * squashed.abs().max().clamp_min(torch.finfo(latent.dtype).tiny)) + 0.5
    odd: Tensor = 2 * rounded(levels * unit) - levels
    return odd


def dorefa_weights(latent: Tensor, bits: int) -> Tensor:
    """DoReFa's weights in -1..1; at 1 bit E * sign(w), E = mean|w| over the tensor without gradient."""
    if bits == 1:
        return straight_through(_sign(latent) * latent.detach().abs().mean(), latent)
    weights: Tensor = odd_weights(latent, bits) / (2**bits - 1)
    return weights


def _sign(x: Tensor) -> Tensor:
    return torch.where(x < 0, -1.0, 1.0).to(x.dtype)


def dorefa_activation(x: Tensor, bits: int) -> Tensor:
    """`round(clip(x, 0, 1) * (2^bits - 1)) / (2^bits - 1)`; the gradient is that of the clip."""
    levels = 2**bits - 1
    activation: Tensor = rounded(x.clamp(0, 1) * levels) / levels
    return activation


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """Values () or (C,) in a shape that broadcasts along the channels of `like`, (N, C) or (N, C, H, W)."""
    return values.reshape(-1, *[1] * (like.dim() - 2))


def requantise(
    acc: Tensor, bound: int, alpha: Tensor, beta: Tensor, weight_bits: int, fraction: int, bits: int
) -> Tensor:
    """`codegen.ir.requantise` on integer-valued float tensors: the same codes, with a gradient.

    acc is (N, C) or (N, C, H, W), never beyond +-`bound`; alpha (positive) and beta are integer-valued
    float64, () or (C,). With d = (2^weight_bits - 1) * 2^fraction

        y = clip(floor((2 alpha acc + 2 beta + d) / (2 d)), 0, 2^bits - 1)

    is computed exactly; the gradient is that of `clip((alpha acc + beta) / d, 0, 2^bits - 1)`. Raises
    UserError where 64-bit integers cannot hold the numerator.
    """
    d, top = (2**weight_bits - 1) * 2**fraction, 2**bits - 1
    largest = 2 * int(alpha.max()) * bound + 2 * int(beta.abs().max()) + d
    if largest >= 2**63:
        raise UserError(
            f"a scale must keep its products below 2^63, not at {largest}; use a smaller fraction"
        )
    alpha, beta = per_channel(alpha, acc), per_channel(beta, acc)
    with torch.no_grad():
        if largest < EXACT_FLOAT64:  # then floor is exact too: a quotient is 1 / 2d > 2^-34 from an integer
            hard = (acc * (2 * alpha) + (2 * beta + d)).div_(2 * d).floor_()
        else:
            numerator = 2 * alpha.long() * acc.long() + (2 * beta.long() + d)
            hard = torch.div(numerator, 2 * d, rounding_mode="floor")
        hard = hard.clamp_(0, top).to(acc.dtype)
    if not torch.is_grad_enabled():
        return hard
    soft = (acc * (alpha / d).to(acc.dtype) + (beta / d).to(acc.dtype)).clamp(0, top)
    return straight_through(hard, soft)


@torch.no_grad()
def largest_sum(weights: Tensor, input_bits: int) -> int:
    """What no sum of products, nor a part of one, exceeds in size: integer weights (out, ..), any codes."""
    return int(weights.double().abs().flatten(1).sum(1).max()) * (2**input_bits - 1)


def exact_dtype(layer: str, bound: int) -> torch.dtype:
    """The smallest float in which every partial sum of integers up to `bound` is exact, in any order.

    Raises UserError where none is.
    """
    if bound < EXACT_FLOAT32:
        return torch.float32
    if bound < EXACT_FLOAT64:
        return torch.float64
    raise UserError(
        f"layer {layer} must keep its sums below 2^53 to be exact, not at {bound}; "
        f"use fewer weight or activation bits"
    )
