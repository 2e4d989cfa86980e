"""The report: every key that was promised, and measurements that measure."""

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from codegen.errors import UserError
from codegen.files import decoded, encoded
from codegen.ir import Provenance
from codegen.report import Report, has_report, read_report, store, write_report
from codegen.steps import Steps
from tests.commands import ROOT
from tests.networks import digits, random_chain

from .reports import html, plan_of, quiet, report_of


def score(correct: int) -> dict[str, int]:
    return {"correct": correct, "images": 360}


MEGABYTES_200 = 200_000_000


def test_report_of_a_digits_build() -> None:
    told = report_of(digits(), 80)
    assert {key: value for key, value in told.items() if key not in ("layers", "histograms")} == {
        "network": "digits_small",
        "note": None,
        "images": 0,
        "compared": None,
        "mismatches": None,
        "accuracy": {"teacher": None, "student": None, "hardware": None},
        "macs": 21664,
        "lanes": 76,
        "cycles_per_image": {"predicted": 288, "simulated": None},
        "first_image_latency": {"predicted": 885, "simulated": None},
        "lane_efficiency": 0.9898,
        "argmax": "argmax",
        "classes": [],
        "fpga": None,
        "steps": [],
    }
    assert told["layers"][1] == {
        "name": "conv2",
        "shape": [[6, 6, 8], [4, 4, 16]],
        "kernel": [3, 3],
        "stride": [1, 1],
        "bits": {"input": 4, "weights": 4, "output": 4},
        "macs": 18432,
        "pe": 8,
        "simd": 8,
        "pixels": 1,
        "lanes": 64,
        "weight_bits": 16 * 3 * 3 * 8 * 4,
        "steps": 288,
        "writes": 6 * 6 * 8,
        "cycles": None,
        "buffer_rows": 9,
        "fifo_depth": 48,
    }
    pool = told["layers"][2]
    assert (pool["name"], pool["bits"], pool["macs"], pool["pe"], pool["simd"]) == (
        "pool", {"input": 4, "weights": None, "output": 4}, 0, 1, None,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(0, 20, 2))
def test_numbers_of_the_report_are_those_of_the_plan(seed: int) -> None:
    network = random_chain(seed)
    plan = plan_of(network, 20)
    told = report_of(network, 20)
    assert told["macs"] == network.macs == sum(row["macs"] for row in told["layers"])
    assert told["lanes"] == sum(row["lanes"] for row in told["layers"])
    for row in told["layers"]:
        assert row["lanes"] == (row["pe"] * row["simd"] * row["pixels"] if row["simd"] else 0)
    assert plan.pace == max(max(row["steps"], row["writes"]) for row in told["layers"])
    assert told["cycles_per_image"]["predicted"] == plan.pace
    assert told["lane_efficiency"] == round(network.macs / (plan.pace * plan.lanes), 4)


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        (350, 342, {"teacher": score(350), "student": score(342), "hardware": None}),
        (None, 0, {"teacher": None, "student": score(0), "hardware": None}),
    ],
)
def test_accuracy_is_of_the_test_images(
    teacher: int | None, student: int | None, expected: dict[str, dict[str, int] | None]
) -> None:
    network = replace(digits(), provenance=Provenance("r", 0, "digits", 360, teacher, student))
    assert report_of(network, 20)["accuracy"] == expected


def test_accuracy_without_test_images_is_unknown() -> None:
    network = replace(digits(), provenance=Provenance("r", 0, "digits", 0, 0, 0))
    assert set(report_of(network, 20)["accuracy"].values()) == {None}


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    told = report_of(digits(), 20)
    write_report(tmp_path, decoded(Report, told, ""))
    assert json.loads((tmp_path / "report.json").read_text()) == encoded(read_report(tmp_path)) == told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert (tmp_path / "report.html").read_text() == html(told)


def test_lists_of_numbers_stand_on_a_line(tmp_path: Path) -> None:
    write_report(tmp_path, decoded(Report, report_of(digits(), 20), ""))
    lines = (tmp_path / "report.json").read_text().splitlines()
    assert len(lines) < 400 and '      "kernel": [3, 3],' in lines


def test_a_page_that_cannot_be_made_leaves_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = decoded(Report, report_of(digits(), 20), "")
    write_report(tmp_path, report)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(store, "html", lambda report: report.nothing)
    with pytest.raises(AttributeError):
        write_report(tmp_path, replace(report, network="other"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", ["{}", "[]", "null", "", "{", '{"network": 3}', "[" * 100_000])
def test_what_is_no_report_is_said_to_be_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(content)
    (tmp_path / "report.html").write_text("")
    with pytest.raises(UserError, match=r"^report '.*report.json'(:| must be JSON)"):
        read_report(tmp_path)
    assert not has_report(tmp_path)


def test_changes_by_several_processes_are_all_kept(tmp_path: Path) -> None:
    write_report(tmp_path, decoded(Report, report_of(digits(), 20), ""))
    script = (
        "import sys, pathlib\n"
        "from dataclasses import replace\n"
        "from codegen.report import change_report\n"
        "for _ in range(20):\n"
        "    change_report(pathlib.Path(sys.argv[1]), lambda one: replace(one, images=one.images + 1))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait() for process in processes] == [0] * 3
    assert read_report(tmp_path).images == 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_each_step_has_its_own_memory_peak() -> None:
    steps = quiet()
    with steps.step("large", "takes memory"):
        bytearray(MEGABYTES_200)
    with steps.step("small", "takes none"):
        pass
    large, small = steps.rows
    assert (large.name, small.name) == ("large", "small")
    assert large.peak_rss_bytes > MEGABYTES_200 and small.peak_rss_bytes < large.peak_rss_bytes
    assert large.peak_rss_bytes - small.peak_rss_bytes > 0.9 * MEGABYTES_200
    assert 0 <= small.seconds < 1


def test_a_step_counts_the_memory_of_the_processes_it_starts() -> None:
    steps = quiet()
    largest = 1024 * max(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    with steps.step("child", "starts a process larger than all before it"):
        subprocess.run([sys.executable, "-c", f"bytearray({largest + MEGABYTES_200})"], check=True)
    assert steps.rows[0].peak_rss_bytes > largest + MEGABYTES_200


def test_a_step_that_fails_is_not_reported() -> None:
    steps = quiet()
    with pytest.raises(RuntimeError, match="no"), steps.step("bad", "fails"):
        raise RuntimeError("no")
    assert steps.rows == []


def test_a_user_sees_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with Steps(Console()).step("fold", "PEs and SIMD lanes"):
        pass
    assert capsys.readouterr().out.split() == ["fold", "PEs", "and", "SIMD", "lanes", "0.0", "s"]
