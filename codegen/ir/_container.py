"""One file of integer tensors with a JSON body: safetensors, versioned, with a digest of all it holds.

docs/ir.md describes the format byte by byte. The same body and tensors always give the same bytes.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from codegen.ir._errors import IrError, UserError, shown

Tensor = npt.NDArray[np.uint8] | npt.NDArray[np.int64]
Tensors = dict[str, Tensor]

VERSION = 1
_KEY = "intandem"  # the only metadata key: safetensors writes several in random order
_DTYPES = {"U8": np.dtype(np.uint8), "I64": np.dtype(np.int64)}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


@dataclass
class Container:
    """An opened file: its JSON `body`, and its `tensors`, each of which the reader must take once."""

    body: dict[str, Any]
    tensors: Tensors
    intact: bool

    def take(self, name: str, dtype: type[np.integer[Any]]) -> npt.NDArray[Any]:
        """The tensor `name`, which must be there and of `dtype`; raises IrError."""
        if name not in self.tensors:
            raise IrError(f"the file must hold the tensor '{name}', which is missing")
        tensor = self.tensors.pop(name)
        if tensor.dtype != dtype:
            raise IrError(f"the tensor '{name}' must be of dtype {np.dtype(dtype)}, not {tensor.dtype}")
        return tensor

    def finish(self) -> None:
        """Raise IrError if a tensor was not taken, or if the digest does not match what was read."""
        for name in self.tensors:
            raise IrError(f"every tensor of the file must be used, but {shown(name)} is not")
        if not self.intact:
            raise IrError("its content must match its digest, but does not; it was edited or damaged, write it anew")


def write_container(path: str | os.PathLike[str], kind: str, body: dict[str, Any], tensors: Tensors) -> None:
    """Write body (JSON without floats) and tensors (uint8 or int64) atomically; raises UserError if it cannot."""
    header = {"body": body, "kind": kind, "version": VERSION}
    text = _canonical({**header, "digest": _digest(header, tensors)})
    write_atomically(path, to_safetensors(dict(tensors), metadata={_KEY: text}))


def read_container(path: str | os.PathLike[str], kind: str) -> Container:
    """Read what `write_container` wrote as `kind`; raises IrError for any other file."""
    text, tensors = _read_safetensors(path)
    header = _parse(text)
    if set(header) != {"body", "digest", "kind", "version"} or type(header["body"]) is not dict:
        raise IrError("its metadata must hold body, digest, kind and version, and nothing else")
    if header["version"] != VERSION or type(header["version"]) is not int:
        raise IrError(f"its format version must be {VERSION}, not {shown(header['version'])}; write it with this release")
    if header["kind"] != kind:
        raise IrError(f"it must hold a {kind}, not {shown(header['kind'])}")
    digest = header.pop("digest")
    return Container(header["body"], tensors, digest == _digest(header, tensors))


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all: a temporary file in the same folder, fsync, rename. Raises UserError."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"'{target}' must be a file that can be written, but: {error.strerror}") from error


def _read_safetensors(path: str | os.PathLike[str]) -> tuple[str, Tensors]:
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None:
                raise IrError(f"it must be written by this project, but its metadata has no '{_KEY}'")
            names: list[str] = file.keys()
            return text, {name: _tensor(file, name) for name in names}
    except SafetensorError as error:
        raise IrError(f"it must be a whole safetensors file, but: {error}") from error
    except OSError as error:
        raise IrError(f"it must be a file that can be read, but: {error.strerror or error}") from error


def _tensor(file: Any, name: str) -> Tensor:
    code = file.get_slice(name).get_dtype()
    if code not in _DTYPES:
        raise IrError(f"the tensor {shown(name)} must be of type U8 or I64, not {shown(code)}")
    tensor: Tensor = file.get_tensor(name)
    return tensor


def _parse(text: str) -> dict[str, Any]:
    """The JSON object `text`, in the one spelling that `_canonical` gives it: no float, no repeated key."""
    try:
        header = json.loads(text, parse_float=_no_float, parse_constant=_no_float)
        canonical = _canonical(header)
    except (ValueError, RecursionError) as error:
        raise IrError(f"its metadata must be JSON of this format, but: {error}") from error
    if type(header) is not dict or canonical != text:
        raise IrError("its metadata must be one JSON object with sorted keys and no spaces")
    return header


def _no_float(text: str) -> NoReturn:
    raise IrError(f"its metadata must hold integers only, not {shown(text)}")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(header: dict[str, Any], tensors: Tensors) -> str:
    digest = hashlib.sha256(_canonical(header).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(_canonical([name, _CODES[tensor.dtype], tensor.shape]).encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()
