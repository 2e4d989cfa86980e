"""Which file a user means by a name: a recipe, a recipe's file, the folder of a run, or a network itself, the
same in every command; and what to say of the files of other programs."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path

from codegen.errors import UserError, did_you_mean
from codegen.program import spelled

__all__ = [
    "NETWORK",
    "RECIPES",
    "RUNS",
    "TEST_SET",
    "check_ours",
    "missing",
    "network_file",
    "recipe_name",
    "shipped",
]

RUNS = Path("runs")
"""Where training leaves its runs: ``runs/<recipe>``."""
NETWORK, TEST_SET = "network.safetensors", "test.safetensors"
"""The integer network in the folder of a run, and its held-out images."""
RECIPES = Path(__file__).parents[1] / "model" / "recipes"
"""Of the training package, which hardware must not need, but may speak of."""

_LONGEST_TABLE = 1 << 20
_DOCUMENT = "write its weights as an integer network (docs/ir.md)"
_NO_PICKLE = "a file of PyTorch, and reading such may run what is in it, so it is never read here"
_BY_SUFFIX = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".pkl", ".pickle"), _NO_PICKLE),
    ".onnx": "an ONNX model, which cannot be imported yet",
    ".tflite": "a TFLite model, which cannot be imported yet",
    **dict.fromkeys((".h5", ".hdf5", ".keras"), "a Keras model, which cannot be imported"),
}
_BY_KEY = {
    "intandem_teacher": "the teacher of a run, with float weights",
    "intandem_progress": "the checkpoint of a run that was interrupted",
}
"""Other safetensors files of ours, by a key of their metadata."""


def shipped() -> list[str]:
    """The recipes that come with the training package, where that is installed."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def recipe_name(name: str) -> str:
    """A recipe's name, from that or from its file's."""
    return Path(name).stem if name.endswith(".toml") else name


def network_file(name: str) -> Path | None:
    """The network that a name stands for, if it is there: that of a recipe, of a recipe's file, of a folder,
    or the file itself."""
    path, trained = Path(name), RUNS / recipe_name(name) / NETWORK
    own = () if name.endswith(".toml") else (path, path / NETWORK)
    return next((one for one in (*own, trained) if one.is_file()), None)


def missing(name: str, others: Iterable[str] = ()) -> UserError:
    """The error for a name that stands for no network: where it was looked for, and what was perhaps meant.
    ``others``: further names that would do."""
    trained = [path.parent.name for path in RUNS.glob(f"*/{NETWORK}")]
    if name in shipped() or Path(name).is_file():
        hint = f"; train it first: {spelled('train', name)}"
    else:
        near = did_you_mean(name, sorted({*trained, *shipped(), *others}))
        hint = near or f"; {spelled('list')} shows what can be trained"
    return UserError(
        f"network must be a file, a run's folder or a trained recipe, not '{name}', of which there is no "
        f"{RUNS / recipe_name(name) / NETWORK}{hint}"
    )


def check_ours(path: Path) -> None:
    """Raises ``UserError`` for a file of another program, or one of ours that is no network, saying what it
    is and what can be done with it."""
    what = _BY_SUFFIX.get(path.suffix.lower()) or _other(path)
    if what is not None:
        beside = path.with_name(NETWORK)
        remedy = f"use '{beside}'" if beside.is_file() and beside != path else _DOCUMENT
        raise UserError(
            f"'{path}' must be an integer network, and is {what}; {remedy}, or train one: "
            f"{spelled('train', 'RECIPE')}"
        )


def _other(path: Path) -> str | None:
    """What a file is by its first bytes, if that is known and no integer network."""
    with path.open("rb") as file:
        head = file.read(8)
        if head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")):
            return _NO_PICKLE
        if head.startswith(b"\x89HDF"):
            return _BY_SUFFIX[".h5"]
        if len(head) < 8 or not 2 <= (length := struct.unpack("<Q", head)[0]) <= _LONGEST_TABLE:
            return None
        table = file.read(length)
    try:
        names = json.loads(table)
        metadata = names.pop("__metadata__", {})
        known = [what for key, what in _BY_KEY.items() if key in metadata]
        first = next(iter(names), None)
    except (ValueError, RecursionError, AttributeError, TypeError):
        return None
    if known or first is None or "intandem" in metadata:
        return known[0] if known else None
    return f"a safetensors file of another program, with {len(names):,} tensors such as '{first[:80]}'"
