"""The integer network: operations with their exact meaning, the graph, and its file. The law is docs/ir.md.

This is all that training and hardware share. It needs NumPy and safetensors only.
"""

from codegen.ir._errors import IrError
from codegen.ir._joins import Add, Argmax, Flatten
from codegen.ir._layers import Conv, Linear
from codegen.ir._network import IntegerNetwork, Node, Provenance, class_text
from codegen.ir._network_file import load, save
from codegen.ir._op import Op
from codegen.ir._packing import pack_codes, unpack_codes
from codegen.ir._pools import AvgPool, MaxPool
from codegen.ir._requantise import Requantise, requantise
from codegen.ir._test_set import TestSet, load_test_set, save_test_set, spread
from codegen.ir._types import TensorType, signed_bits
from codegen.ir._weights import DorefaWeights

__all__ = [
    "Add",
    "Argmax",
    "AvgPool",
    "Conv",
    "DorefaWeights",
    "Flatten",
    "IntegerNetwork",
    "IrError",
    "Linear",
    "MaxPool",
    "Node",
    "Op",
    "Provenance",
    "Requantise",
    "TensorType",
    "TestSet",
    "class_text",
    "load",
    "load_test_set",
    "pack_codes",
    "requantise",
    "save",
    "save_test_set",
    "signed_bits",
    "spread",
    "unpack_codes",
]
