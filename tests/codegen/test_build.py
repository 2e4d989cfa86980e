"""A build is a folder that appears whole, with the same bytes each time, and destroys nothing of others."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from codegen import build as module
from codegen import verilog
from codegen.budget import Budget
from codegen.build import build
from codegen.errors import UserError
from codegen.ir import TestSet, load, load_test_set, save, save_test_set
from codegen.manifest import streams
from codegen.networks import Source, find_network
from codegen.planner import make_plan
from codegen.steps import Steps
from tests.commands import ROOT, command
from tests.networks import tiny

LANES = Budget(lanes=8)
TWICE = Budget(lanes=16)
REPORTS = {"report.json", "report.html"}
FILES = {
    "accelerator.v", "intandem_rom.v", "manifest.json", "report.json", "report.html", "plan.toml",
    "stamp.json", "network.safetensors", "test.safetensors",
    "rom/conv.pe0.lane0.hex", "rom/fc.pe0.lane0.hex",
    "vectors/i.hex", "vectors/o.hex", "vectors/tap_conv.hex", "vectors/tap_fc.hex", "vectors/tap_pool.hex",
}  # fmt: skip


def quiet() -> Steps:
    return Steps(Console(quiet=True))


def write_source(folder: Path, seed: int = 0) -> Source:
    folder.mkdir(exist_ok=True)
    network = tiny(seed)
    images = np.random.default_rng(3).integers(0, 8, (12, 5, 5, 2), dtype=np.uint8)
    save(network, folder / "network.safetensors")
    save_test_set(TestSet(images, network.run(images)), folder / "test.safetensors")
    return find_network(str(folder))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return write_source(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def built(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One real build, to look at."""
    out = tmp_path_factory.mktemp("one") / "out"
    build(source, out, LANES, quiet())
    return out


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds without Amaranth and Yosys, for what does not depend on the Verilog."""
    monkeypatch.setattr(module, "Accelerator", lambda plan, taps: plan)
    monkeypatch.setattr(module, "verilog_text", lambda plan, top: f"// {top} of {plan.lanes} lanes")


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_build_has_these_files(built: Path) -> None:
    assert set(contents(built)) == FILES
    assert load(built / "network.safetensors") == tiny()


def test_the_stamp_has_every_file_that_stays_as_it_is(built: Path) -> None:
    files = json.loads((built / "stamp.json").read_text())["files"]
    assert set(files) == FILES - {"stamp.json", *REPORTS}
    for name, content in contents(built).items():
        if name in files:
            expected = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            assert files[name] == expected


def test_the_manifest_describes_the_accelerator(built: Path, source: Source) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    plan = make_plan(source, LANES, quiet())
    assert {key: manifest[key] for key in ("format", "version", "network", "top", "lanes", "predicted")} == {
        "format": "intandem build",
        "version": 2,
        "network": "tiny",
        "top": "accelerator",
        "lanes": plan.lanes,
        "predicted": {
            "first_image_latency": plan.predict(1).first_image_latency,
            "cycles_per_image": plan.pace,
        },
    }
    assert [row["name"] for row in manifest["streams"]] == [stream.name for stream in streams(plan)]
    for row, layer in zip(manifest["layers"], plan.layers, strict=True):
        assert (row["name"], row["pe"], row["row_lanes"] * row["run_lanes"]) == (
            layer.stage.name, layer.fold.pe, layer.fold.simd,
        )  # fmt: skip
        assert (row["buffer_rows"], row["fifo_depth"]) == (
            layer.timing.window.buffer_rows,
            layer.timing.fifo_depth,
        )
    assert [row["requantise"] for row in manifest["layers"]] == ["ThresholdForm", None, None]


def test_the_same_build_has_the_same_bytes_wherever_it_is_made(
    built: Path, source: Source, tmp_path: Path
) -> None:
    shutil.copytree(source.path.parent, tmp_path / "else where")
    other = command(
        tmp_path,
        "codegen",
        "build",
        "else where",
        "--lanes",
        str(LANES.lanes),
        "--out",
        "out",
        PYTHONHASHSEED="77",
    )
    assert other.returncode == 0, other.stderr
    first, second = contents(built), contents(tmp_path / "out")
    assert {name for name in FILES if first[name] != second[name]} <= REPORTS
    reports = [json.loads(found["report.json"]) | {"steps": None} for found in (first, second)]
    assert reports[0] == reports[1]


def test_no_file_names_a_folder_of_this_machine(built: Path) -> None:
    folders = [str(built.parent), str(Path.home()), str(ROOT), os.getcwd(), str(Path(shutil.__file__).parent)]
    for name, content in contents(built).items():
        assert not [folder for folder in folders if folder.encode() in content], name


def test_vectors_are_the_trace_of_a_sample(built: Path, source: Source) -> None:
    plan = make_plan(source, LANES, quiet())
    images = source.sample(8).images.astype(np.int64)
    values = {"input": images} | source.network.trace(images)
    for stream in streams(plan):
        if stream.node is None:
            continue
        text = (built / "vectors" / f"{stream.name}.hex").read_bytes()
        digits = np.array([list(line) for line in text.split()], dtype=np.uint8)
        shape = (8, *(stream.shape or (1,)))
        got = stream.format.unpack(stream.format.from_hex(digits), shape)
        assert np.array_equal(got, values[stream.node].reshape(shape)), stream.name


def test_the_verilog_is_whole(built: Path) -> None:
    text = (built / "accelerator.v").read_text()
    assert text.startswith(
        "// accelerator: generated by intandem. Changes belong in the network or in the engines"
    )
    assert re.search(r"^module accelerator\(", text, re.MULTILINE)
    assert sorted(re.findall(r'"(rom/[^"]+)"', text)) == sorted(
        name for name in FILES if name.startswith("rom/")
    )
    defined = set(re.findall(r"^module (\S+)\(", text, re.MULTILINE)) | {"intandem_rom"}
    used = set(re.findall(r"^  (\\?[\w.]+) (?:#\(|\\?\w+ +\()", text, re.MULTILINE)) - {
        "module",
        "always",
        "if",
    }
    assert defined and {name for name in used if "accelerator" in name} <= defined


def test_an_up_to_date_folder_is_left_alone(
    built: Path, source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stamps(built)
    build(source, built, LANES, Steps(Console()))
    assert stamps(built) == before
    assert f"{built.name} is up to date" in capsys.readouterr().out.replace("\n", "")


def test_a_tampered_file_is_made_again(source: Source, fast: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(source, out, LANES, quiet())
    whole = contents(out)
    for name in sorted(FILES - REPORTS):
        content = bytearray(whole[name])
        place = content.index(b'"lanes": ') + 9 if name == "manifest.json" else len(content) // 2
        content[place] ^= 1
        (out / name).write_bytes(content)
        build(source, out, LANES, quiet())
        assert contents(out) == whole | {name: (out / name).read_bytes() for name in REPORTS}, name


def test_a_missing_file_is_made_again(source: Source, fast: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(source, out, LANES, quiet())
    for name in sorted(FILES - {"manifest.json"}):
        (out / name).unlink()
        build(source, out, LANES, quiet())
        assert set(contents(out)) == FILES, name


def test_a_report_that_cannot_be_read_is_made_again(source: Source, fast: None, tmp_path: Path) -> None:
    build(source, tmp_path / "out", LANES, quiet())
    (tmp_path / "out" / "report.json").write_text("{")
    build(source, tmp_path / "out", LANES, quiet())
    assert json.loads((tmp_path / "out" / "report.json").read_text())["network"] == "tiny"


def test_another_budget_network_image_or_force_is_another_build(
    source: Source, fast: None, tmp_path: Path
) -> None:
    out, seen = tmp_path / "out", set()
    images = source.test_set.images.copy()
    images[0, 0, 0, 0] ^= 1
    other = Source(source.name, source.path, source.network, TestSet(images, source.test_set.labels))
    for changed, lanes, force in (
        (source, LANES, False),
        (source, LANES, True),
        (source, TWICE, False),
        (write_source(tmp_path / "second", seed=1), TWICE, False),
        (other, LANES, False),
    ):
        before = out.stat().st_ino if out.exists() else None
        build(changed, out, lanes, quiet(), force=force)
        assert out.stat().st_ino != before
        seen.add(json.loads((out / "stamp.json").read_text())["key"])
    assert len(seen) == 4  # force changes nothing in it


def test_large_test_sets_are_cut(
    source: Source, fast: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TEST_BYTES", 5 * 50 + 49)
    build(source, tmp_path / "out", LANES, quiet())
    kept = load_test_set(tmp_path / "out" / "test.safetensors")
    expected = source.test_set.sample(5)
    assert np.array_equal(kept.images, expected.images)
    assert np.array_equal(kept.labels, expected.labels)
    assert np.array_equal(kept.labels, source.test_set.labels[:5])


def test_without_a_test_set_images_are_random(source: Source, fast: None, tmp_path: Path) -> None:
    build(Source("tiny", source.path, source.network, None), tmp_path / "out", LANES, quiet())
    assert set(contents(tmp_path / "out")) == FILES - {"test.safetensors"}
    assert len((tmp_path / "out" / "vectors" / "i.hex").read_text().splitlines()) == 8 * 25


def test_a_build_can_be_built_again_from_itself(built: Path, fast: None, tmp_path: Path) -> None:
    build(find_network(str(built)), tmp_path / "out", LANES, quiet())
    assert load(tmp_path / "out" / "network.safetensors") == tiny()


@pytest.mark.parametrize("foreign", ["notes.txt", "manifest.json"])
def test_a_folder_with_other_files_is_refused_and_untouched(
    foreign: str, source: Source, tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / foreign).write_text('{"name": "another program", "format": 1}')
    before = stamps(tmp_path)
    with pytest.raises(UserError) as error:
        build(source, out, LANES, quiet(), force=True)
    assert str(error.value) == (
        f"the folder of a build must be new, empty or an earlier build, not '{out}' with other files; "
        "choose another with --out"
    )
    assert stamps(tmp_path) == before


def test_a_file_in_the_place_of_the_folder_is_refused(source: Source, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(
        UserError, match=r"^the folder of a build must be new, empty or an earlier build, not"
    ):
        build(source, tmp_path / "out", LANES, quiet())
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("out", [".", ".."])
def test_the_folder_you_are_in_is_refused(
    out: str, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    with pytest.raises(UserError) as error:
        build(source, Path(out), LANES, quiet())
    rule = {
        ".": "must not hold the folder you are in, not '.'",
        "..": "must be new, empty or an earlier build, not '..' with other files",
    }
    assert str(error.value) == f"the folder of a build {rule[out]}; choose another with --out"


def test_an_empty_folder_and_a_link_to_one_are_welcome(source: Source, fast: None, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    for lanes in (TWICE, LANES):
        build(source, tmp_path / "link", lanes, quiet())
    assert set(contents(tmp_path / "empty")) == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "link"]


@pytest.mark.parametrize("step", ["rom_files", "_vectors", "verilog_text", "write_manifest", "write_report"])
def test_a_build_that_fails_leaves_nothing(
    step: str, source: Source, fast: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(source, tmp_path / "old", LANES, quiet())
    before, real = stamps(tmp_path), getattr(module, step)

    def fails(*given: object) -> None:
        real(*given)
        raise error("in the middle")

    monkeypatch.setattr(module, step, fails)
    for error in (KeyboardInterrupt, UserError, MemoryError):
        for out in ("new", "old"):
            with pytest.raises(error):
                build(source, tmp_path / out, TWICE, quiet(), force=True)
    assert stamps(tmp_path) == before


def test_yosys_that_fails_is_said_so_and_leaves_nothing(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verilog, "_SCRIPT", "read_rtlil none.il\n")
    with pytest.raises(UserError, match=r"^yosys failed with status 1: ERROR: File `none.il' not found"):
        build(source, tmp_path / "out", LANES, quiet())
    assert list(tmp_path.iterdir()) == []


def test_steps_are_told_in_order(source: Source, fast: None, tmp_path: Path) -> None:
    build(source, tmp_path / "out", LANES, quiet())
    steps = json.loads((tmp_path / "out" / "report.json").read_text())["steps"]
    assert [row["name"] for row in steps] == [
        "fuse",
        "prove",
        "fold",
        "size",
        "weights",
        "vectors",
        "verilog",
    ]
    assert all(set(row) == {"name", "seconds", "peak_rss_bytes"} for row in steps)
