"""What every operation of the graph is: a rule for types, a meaning, a cost and a line of text."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from codegen.ir._errors import IrError
from codegen.ir._types import IntArray, TensorType


class Op(ABC):
    """An operation. Subclasses are frozen dataclasses, check their own fields, and hold arrays read-only."""

    kind: ClassVar[str]
    """Name of the operation in text and files."""
    arity: ClassVar[int] = 1
    """Number of inputs."""

    @abstractmethod
    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Type of the output for these input types; raises IrError where the operation does not fit them."""

    @abstractmethod
    def apply(self, *arrays: IntArray) -> IntArray:
        """The exact meaning: int64 arrays with a leading batch axis in, one such array out."""

    @abstractmethod
    def describe(self) -> str:
        """The operation and its parameters in a few words."""

    def macs(self, input: TensorType) -> int:
        """Multiply-accumulates per image on the first input's type; 0 for what has no weights."""
        return 0

    def take(self, inputs: Sequence[TensorType], rank: tuple[int, ...]) -> TensorType:
        """The first of `inputs`, after checking their number and that the first has one of the ranks."""
        if len(inputs) != self.arity:
            raise IrError(f"{self.kind} must have {self.arity} input(s), not {len(inputs)}")
        if len(inputs[0].shape) not in rank:
            raise IrError(f"{self.kind} must read {' or '.join(_RANKS[r] for r in rank)}, not {inputs[0].shape}")
        return inputs[0]


_RANKS = {0: "a class index ()", 1: "a vector (K,)", 3: "a feature map (H, W, C)"}
