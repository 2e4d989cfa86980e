"""What every operation of the graph is: a rule for types, a meaning, a cost and a few words."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from codegen.ir._errors import IrError
from codegen.ir._types import IntArray, TensorType

_RANKS = {1: "a vector (K,)", 3: "a feature map (H, W, C)"}


class Op(ABC):
    """An operation. Each is a frozen dataclass that checks its own fields and holds its arrays read-only."""

    kind: ClassVar[str]
    """Its name in files and messages."""
    arity: ClassVar[int] = 1
    """Number of its inputs."""

    @abstractmethod
    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Type of the output for these input types; raises IrError if the operation does not fit them."""

    @abstractmethod
    def apply(self, *arrays: IntArray) -> IntArray:
        """The exact meaning: int64 arrays with a leading batch axis in, one such array out."""

    @abstractmethod
    def describe(self) -> str:
        """The operation and its parameters in a few words."""

    def macs(self, input: TensorType) -> int:
        """Multiply-accumulates per image for the type of the first input; 0 for what has no weights."""
        return 0

    def first(self, inputs: Sequence[TensorType], *ranks: int) -> TensorType:
        """The first of `inputs`, their number and its rank checked."""
        if len(inputs) != self.arity:
            raise IrError(f"{self.kind} must have {self.arity} input(s), not {len(inputs)}")
        if len(inputs[0].shape) not in ranks:
            allowed = " or ".join(_RANKS[rank] for rank in ranks)
            raise IrError(f"{self.kind} must read {allowed}, not a tensor of shape {inputs[0].shape}")
        return inputs[0]
