"""Checks the checks: changes the product in one place at a time and says which test notices.

    python -m tests.mutation --seed 22 --count 30
    python -m tests.mutation hw/fifo.py:41:2

Places are drawn from all operators, comparisons and whole numbers of the files in `GROUPS`, three from each
group at least. Each mutant is made in a copy of the clone. The tests nearest to it run first, then all quick
ones; a mutant that lives must be shown to change nothing, or gets a test.
"""

import argparse
import ast
import copy
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

GROUPS = {
    "hardware": ("hw/*.py", "hw/link/*.py"),
    "requantisation": ("codegen/requantise.py", "hw/requantise.py", "codegen/ir/_requantise.py"),
    "cycle model": ("codegen/cycles.py", "hw/timing.py"),
    "scoreboard": ("sim/scoreboard.py",),
    "emission": ("codegen/accelerator.py", "codegen/beats.py", "codegen/weights.py", "hw/memory.py"),
    "absorb": ("codegen/fpga/absorb.py",),
    "carry": ("codegen/fpga/carry.py",),
}
NEAR = {
    "hw/link": ("tests/hw/link",),
    "hw": ("tests/hw", "tests/codegen/test_cycles.py", "tests/sim/test_accelerator.py"),
    "codegen/fpga": ("tests/codegen/fpga",),
    "codegen/ir": ("tests/ir",),
    "codegen": ("tests/codegen", "tests/sim/test_accelerator.py"),
    "sim": ("tests/sim/test_scoreboard.py", "tests/sim"),
}
"""Where the tests of a folder are, the most precise folder first."""

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The n-th mutable thing on a line of a file."""

    file: str
    line: int
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.number}"


def mutable(tree: ast.Module) -> Iterator[ast.AST]:
    """All that can be changed: not in annotations, messages or texts."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop(0)
        match node:
            case ast.AnnAssign():
                waiting += [node.value] if node.value else []
                continue
            case ast.FunctionDef():
                waiting += [*node.args.defaults, *node.body]
                continue
            case ast.JoinedStr() | ast.Raise() | ast.Import() | ast.ImportFrom():
                continue
            case ast.BinOp() | ast.BoolOp() if type(node.op) in SWAPS:
                yield node
            case ast.Compare() if type(node.ops[0]) in SWAPS:
                yield node
            case ast.UnaryOp():
                yield node
            case ast.Constant() if type(node.value) is int:
                yield node
        waiting += ast.iter_child_nodes(node)


def places(file: str) -> list[tuple[Place, ast.AST]]:
    """Every place of a file, with its node."""
    tree = ast.parse((ROOT / file).read_text())
    counts: dict[int, int] = {}
    found = []
    for node in mutable(tree):
        line: int = node.lineno  # type: ignore[attr-defined]
        counts[line] = counts.get(line, 0) + 1
        found.append((Place(file, line, counts[line]), node))
    return found


def mutant(place: Place) -> tuple[str, str]:
    """The text of the file with the place changed, and what was made of what."""
    tree = ast.parse((ROOT / place.file).read_text())
    counts: dict[int, int] = {}
    for node in mutable(tree):
        line: int = node.lineno  # type: ignore[attr-defined]
        counts[line] = counts.get(line, 0) + 1
        if (line, counts[line]) == (place.line, place.number):
            before = copy.deepcopy(node)
            _change(node)
            after = ast.unparse(node.operand if isinstance(node, ast.UnaryOp) else node)
            text = ast.unparse(_Unwrap(node).visit(tree) if isinstance(node, ast.UnaryOp) else tree)
            return text, f"{ast.unparse(before)}  ->  {after}"
    raise SystemExit(f"error: {place} must be a place that can be changed")


def _change(node: ast.AST) -> None:
    match node:
        case ast.BinOp() | ast.BoolOp():
            node.op = SWAPS[type(node.op)]()  # type: ignore[assignment]
        case ast.Compare():
            node.ops[0] = SWAPS[type(node.ops[0])]()  # type: ignore[assignment]
        case ast.Constant():
            node.value += 1  # type: ignore[operator]


class _Unwrap(ast.NodeTransformer):
    """Takes the operator of one operand away."""

    def __init__(self, node: ast.AST) -> None:
        self.node = node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return node.operand if node is self.node else node


def drawn(seed: int, count: int) -> list[Place]:
    """``count`` places, at least three of each group."""
    draw = random.Random(seed)
    groups = []
    for patterns in GROUPS.values():
        files = sorted({path.relative_to(ROOT).as_posix() for one in patterns for path in ROOT.glob(one)})
        groups.append([place for file in files for place, _ in places(file)])
    chosen = [place for group in groups for place in draw.sample(group, 3)]
    rest = [place for group in groups for place in group if place not in chosen]
    return chosen[:count] + draw.sample(rest, max(0, count - len(chosen)))


def noticed(clone: Path, place: Place) -> str | None:
    """The first test that fails with the mutant in the clone, or None."""
    near = next(tests for folder, tests in NEAR.items() if place.file.startswith(f"{folder}/"))
    for tests, how in ((near, []), (("tests",), ["-n", "auto", "--dist", "loadscope"])):
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-m",
            "not slow",
            *how,
            "-p",
            "no:cacheprovider",
        ]
        done = subprocess.run([*command, *tests], cwd=clone, capture_output=True, text=True, check=False)
        failed = [
            line for line in done.stdout.splitlines() if line.startswith(("FAILED tests", "ERROR tests"))
        ]
        if done.returncode:
            return failed[0].split(" - ")[0] if failed else f"pytest ended with {done.returncode}"
    return None


def main() -> int:
    """The command line; 1 if a mutant lives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("places", nargs="*", help="FILE:LINE:NUMBER instead of drawn ones")
    parser.add_argument("--seed", type=int, default=22)
    parser.add_argument("--count", type=int, default=30)
    options = parser.parse_args()
    named = [one.rsplit(":", 2) for one in options.places]
    chosen = [Place(file, int(line), int(number)) for file, line, number in named]
    alive = 0
    for place in chosen or drawn(options.seed, options.count):
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / "clone"
            ignored = shutil.ignore_patterns(".venv", "build", "runs", ".git", "__pycache__")
            shutil.copytree(ROOT, clone, ignore=ignored)
            text, what = mutant(place)
            (clone / place.file).write_text(text)
            found = noticed(clone, place)
        alive += found is None
        print(f"{place}  {what}\n    {found or 'LIVES'}", flush=True)
    return min(alive, 1)


if __name__ == "__main__":
    sys.exit(main())
