"""From handwritten digits to simulated hardware with the two commands that `make sim` runs."""

import json
from pathlib import Path

import pytest

from ..commands import command

pytest.importorskip("torch", reason="training needs torch; hardware does not")

RECIPE = Path(__file__).parents[2] / "model" / "recipes" / "digits_w4a4.toml"
IMAGES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of the real recipe: fewer epochs, everything else as it is shipped."""
    folder = tmp_path_factory.mktemp("digits")
    recipe = RECIPE.read_text().replace("float_epochs = 40", "float_epochs = 6")
    recipe = recipe.replace("epochs = 80", "epochs = 8").replace("epochs = 15", "epochs = 2")
    (folder / "short.toml").write_text(recipe)
    trained = command(folder, "model", "train", "short.toml")
    assert trained.returncode == 0, trained.stderr
    return folder


def test_hardware_gives_what_training_measured(folder: Path) -> None:
    simulated = command(folder, "sim", "short", "--images", str(IMAGES))
    assert simulated.returncode == 0, simulated.stdout + simulated.stderr
    assert "all equal" in simulated.stdout.replace("│", " ")
    told = json.loads((folder / "build" / "short" / "report.json").read_text())
    assert (told["images"], told["compared"], told["mismatches"]) == (IMAGES, IMAGES * 683, 0)
    assert simulated.stdout.splitlines()[-1] == "report: build/short/report.html"
    page = (folder / "build" / "short" / "report.html").read_text()
    assert f"All {IMAGES * 683:,} values in {IMAGES} images, simulated, are equal to the golden" in page
    assert told["cycles_per_image"]["predicted"] == told["cycles_per_image"]["simulated"]
    assert told["first_image_latency"]["predicted"] == told["first_image_latency"]["simulated"]
    for layer in told["layers"]:
        assert layer["cycles"]["predicted"] == layer["cycles"]["simulated"]
    assert told["lane_efficiency"] >= 0.90
    assert all(told["accuracy"][who]["correct"] > 0.8 * IMAGES for who in ("teacher", "student", "hardware"))


@pytest.mark.slow
def test_two_builds_have_the_same_bytes(folder: Path) -> None:
    for name in ("a", "b"):
        assert command(folder, "codegen", "build", "short", "--out", f"build/{name}").returncode == 0
    first, second = (
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for out in (folder / "build" / "a", folder / "build" / "b")
    )
    assert first.keys() == second.keys()
    differ = {path.name for path in first if first[path] != second[path]}
    assert differ <= {"report.json", "report.html"}


@pytest.mark.slow
def test_a_build_from_nothing_trains_first(tmp_path: Path) -> None:
    built = command(tmp_path, "codegen", "build", "digits_w2a2")
    assert built.returncode == 0, built.stdout + built.stderr
    assert "digits_w2a2 is not trained yet, so first: python -m model train digits_w2a2" in built.stderr
    assert (tmp_path / "runs" / "digits_w2a2" / "run.json").is_file()
    told = json.loads((tmp_path / "build" / "digits_w2a2" / "report.json").read_text())
    assert told["accuracy"]["student"]["correct"] > 324


@pytest.mark.slow
@pytest.mark.parametrize("device", ["ecp5-85k", "ice40-hx8k"])
def test_the_netlist_of_the_digits_is_equal(folder: Path, device: str) -> None:
    simulated = command(folder, "sim", "short", "--images", "20", "--netlist", device)
    assert simulated.returncode == 0, simulated.stdout + simulated.stderr
    assert f"from the netlist for {device}: all equal" in " ".join(simulated.stdout.split())


@pytest.mark.slow
def test_the_digits_are_placed_and_routed(folder: Path) -> None:
    placed = command(folder, "codegen", "bitstream", "short", "--device", "ecp5-25k", "--lanes", "20")
    assert placed.returncode == 0, placed.stdout + placed.stderr
    told = json.loads((folder / "build" / "short-ecp5-25k" / "ecp5-25k" / "placement.json").read_text())
    assert 0 < told["utilization"]["MULT18X18D"]["used"] <= 28
    assert "images/s" in placed.stdout and "its error" in placed.stdout
    report = json.loads((folder / "build" / "short-ecp5-25k" / "report.json").read_text())
    fpga, layers = report["fpga"], {layer["name"] for layer in report["layers"]}
    assert fpga["placed"]["multipliers"] == told["utilization"]["MULT18X18D"]["used"]
    assert [row["name"] for row in fpga["steps"]] == ["netlist", "place"]
    assert set(fpga["layers"]) - layers <= {"argmax", "between"}, "no cell's name is taken for a layer's"
