"""The habits of the repository itself: pinned, explained, movable, small."""

import importlib.metadata
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOMEBODYS_FOLDER = re.compile(r"(?<![\w.~/-])/(?:home|root|Users|work|scratch|mnt|tmp)/\w")


def tracked() -> list[Path]:
    if shutil.which("git") is None:
        pytest.skip("no git here")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip(f"git does not list this folder: {listing.stderr.splitlines()[0]}")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def requirements() -> list[str]:
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    return [*PYPROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def needed(names: list[str]) -> Iterator[str]:
    """`names` and everything that they need on this machine, as the installed packages declare it."""
    waiting, seen = list(names), set[str]()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        yield name
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)


def test_every_dependency_and_what_it_needs_is_pinned() -> None:
    missing = sorted(set(needed([Requirement(line).name for line in requirements()])) - pinned().keys())
    assert missing == [], "add these to constraints.txt"


def test_installed_versions_are_the_pinned_ones() -> None:
    installed = {name: importlib.metadata.version(name) for name in pinned() if _is_installed(name)}
    other = {name: version for name, version in installed.items() if version.split("+")[0] != pinned()[name]}
    assert other == {}, "run `make venv`"


def _is_installed(name: str) -> bool:
    return any(importlib.metadata.distributions(name=name))


def test_versions_are_pinned_in_one_place_only() -> None:
    assert [line for line in requirements() if Requirement(line).specifier] == []


@pytest.mark.parametrize("requirement", requirements())
def test_every_dependency_says_what_it_is_for(requirement: str) -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    assert [line for line in lines if re.match(rf'\s+"{re.escape(requirement)}",  # \w', line)]


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    found = []
    for path in tracked():
        if match := SOMEBODYS_FOLDER.search(path.read_bytes().decode(errors="replace")):
            found.append((str(path.relative_to(ROOT)), match[0]))
    assert found == []


@pytest.mark.parametrize("before", ["", "see ", "('", "=", ":"])
def test_a_folder_of_somebodys_machine_is_recognised(before: str) -> None:
    assert SOMEBODYS_FOLDER.search(f"{before}/{'home'}/anna/x")  # in pieces, or this file would be found


@pytest.mark.parametrize("text", ["runs/home/a", "~/home/x", "https://example.org/home/page", "/usr/bin/env"])
def test_other_paths_are_left_alone(text: str) -> None:
    assert not SOMEBODYS_FOLDER.search(text)


def test_no_large_file_is_tracked() -> None:
    assert [path.relative_to(ROOT) for path in tracked() if path.stat().st_size > 1_500_000] == []


def test_make_alone_lists_every_target_and_variable() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    listing = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    described = re.findall(r"^  (\S+) +\S", listing, re.MULTILINE)
    variables = [name for name in re.findall(r"^([A-Z]+) \?=", makefile, re.MULTILINE) if name != "PYTHON"]
    assert described == [*phony[1].split(), *variables]


def test_ci_runs_what_the_makefile_calls_test() -> None:
    assert (ROOT / ".ci/run").read_text().endswith("\nmake test\n")
