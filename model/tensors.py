"""Files of torch tensors with a JSON text, as checkpoints and teachers are. They come from anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from codegen.errors import UserError
from codegen.files import decoded, encoded, parse_json

__all__ = ["Tensors", "read_tensors", "tensors_file"]

T = TypeVar("T")
Tensors = dict[str, Tensor]


def tensors_file(tensors: Tensors, key: str, told: object) -> bytes:
    """The file that `read_tensors` reads: tensors, and the dataclass `told` under the metadata key `key`."""
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return save(plain, {key: json.dumps(encoded(told))})


def read_tensors(path: Path, key: str, kind: type[T]) -> tuple[Tensors, T]:
    """All tensors of a file, and the dataclass in its metadata. Raises UserError for any other file."""
    if not path.is_file():
        raise UserError("it is no file")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(key)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 no mapping
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(f"it is no whole safetensors file: {error}") from error
    if text is None:
        raise UserError(f"its metadata has no key '{key}'")
    return tensors, decoded(kind, parse_json(text, "its metadata"), f"{key}: ")
