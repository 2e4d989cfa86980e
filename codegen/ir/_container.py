"""One file of integer tensors with a JSON body: safetensors, versioned, with a digest of all it holds.

docs/ir.md has the format byte by byte. The same body and tensors always give the same bytes.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from codegen.errors import shown
from codegen.files import write_atomically
from codegen.ir._errors import IrError

Tensor = npt.NDArray[np.uint8] | npt.NDArray[np.int64]
Tensors = dict[str, Tensor]
FilePath = str | os.PathLike[str]

VERSION = 2
_READABLE = (1, 2)
_KEY = "intandem"  # the one metadata key: safetensors would write several in random order
_DTYPES = {np.dtype(np.uint8): "U8", np.dtype(np.int64): "I64"}


@dataclass
class Container:
    """An opened file: JSON `body` and `tensors`, of which the reader takes each once and then finishes."""

    version: int
    body: dict[str, Any]
    tensors: Tensors
    intact: bool

    def take(self, name: str, dtype: type[np.integer[Any]]) -> npt.NDArray[Any]:
        """The tensor `name`; raises IrError if it is missing, taken already or not of `dtype`."""
        if name not in self.tensors:
            raise IrError(f"the file must hold the tensor '{name}', but does not")
        tensor = self.tensors.pop(name)
        if tensor.dtype != dtype:
            raise IrError(f"the tensor '{name}' must be of dtype {np.dtype(dtype)}, not {tensor.dtype}")
        return tensor

    def finish(self) -> None:
        """Raise IrError if a tensor was not taken, or if what was read does not match its digest."""
        for name in sorted(self.tensors):
            raise IrError(f"each tensor of the file must be used, but {shown(name)} is not")
        if not self.intact:
            raise IrError("the content must match its digest, but was edited or damaged; write the file anew")


def write_container(path: FilePath, kind: str, body: dict[str, Any], tensors: Tensors) -> None:
    """Write body (JSON without floats) and tensors atomically; raises UserError if that fails."""
    header: dict[str, Any] = {"body": body, "kind": kind, "version": VERSION}
    header["digest"] = _digest(header, tensors)
    whole = {name: tensor.copy(order="C") for name, tensor in tensors.items()}  # it writes raw buffers
    write_atomically(path, to_safetensors(whole, metadata={_KEY: _canonical(header)}))


def read_container(path: FilePath, kind: str) -> Container:
    """Read what `write_container` wrote as `kind`; raises IrError for any other file."""
    text, tensors = _read_safetensors(path)
    header = _parse(text)
    if type(header.get("version")) is not int or header["version"] not in _READABLE:
        readable, version = " or ".join(map(str, _READABLE)), shown(header.get("version"))
        raise IrError(
            f"the format version must be {readable}, not {version}; write the file with this release"
        )
    if header.get("kind") != kind:
        raise IrError(f"the file must hold a {kind}, not {shown(header.get('kind'))}")
    if set(header) != {"body", "digest", "kind", "version"} or type(header["body"]) is not dict:
        raise IrError("the metadata must hold body (an object), digest, kind and version, and nothing else")
    digest = header.pop("digest")
    return Container(header["version"], header["body"], tensors, digest == _digest(header, tensors))


def _read_safetensors(path: FilePath) -> tuple[str, Tensors]:
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None:
                raise IrError(f"it must be a file of this project, but its metadata has no key '{_KEY}'")
            names: list[str] = file.keys()
            return text, {name: _tensor(file, name) for name in names}
    except SafetensorError as error:
        raise IrError(f"it must be a whole safetensors file, but: {error}") from error
    except OSError as error:
        raise IrError(f"it must be a file that can be read, but: {error.strerror or error}") from error


def _tensor(file: Any, name: str) -> Tensor:
    code = file.get_slice(name).get_dtype()
    if code not in _DTYPES.values():
        raise IrError(f"the tensor {shown(name)} must be of type U8 or I64, not {code}")
    tensor: Tensor = file.get_tensor(name)
    return tensor


def _parse(text: str) -> dict[str, Any]:
    """The JSON object `text`, which must be spelled as `_canonical` spells it; so no key comes twice."""
    try:
        header = json.loads(text, parse_float=_no_float, parse_constant=_no_float)
        canonical = _canonical(header)
    except (ValueError, RecursionError) as error:
        raise IrError(f"the metadata must be JSON, but: {error}") from error
    if type(header) is not dict or canonical != text:
        raise IrError("the metadata must be one JSON object in ASCII, keys sorted, without spaces")
    return header


def _no_float(text: str) -> NoReturn:
    raise IrError(f"the metadata must hold no number but integers, not {shown(text)}")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(header: dict[str, Any], tensors: Tensors) -> str:
    digest = hashlib.sha256(_canonical(header).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(_canonical([name, _DTYPES[tensor.dtype], tensor.shape]).encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()
