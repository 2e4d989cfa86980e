"""The whole accelerator in Verilator, and what is said when any part of it is broken on purpose."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from codegen.budget import Budget
from codegen.build import build
from codegen.errors import UserError
from codegen.ir import TestSet, save, save_test_set
from codegen.networks import Source, find_network
from codegen.plan import Plan
from codegen.report import read_report
from codegen.report.schema import Accuracy, Cycles, Score
from codegen.steps import Steps
from sim.ports import NO_STALL, Stall
from sim.run import Outcome, forget_simulation, simulate, with_simulation
from sim.verilator_bench import ProtocolError, VerilatorBench
from sim.watchdog import Stuck

from ..commands import command
from ..networks import Chain, digits

IMAGES = 12


@dataclass(frozen=True)
class Built:
    """A build, the folder it lies in, and the network it was made of."""

    folder: Path
    plan: Plan
    source: Source

    def run(self, stall: Stall = NO_STALL) -> Outcome:
        return simulate(self.folder, self.plan, self.source, self.source.sample(IMAGES).images, stall)

    def copied(self, folder: Path) -> "Built":
        """The same build in another folder, to be broken."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("sim"))
        return replace(self, folder=folder)

    def edited(self, file: str, old: str, new: str) -> None:
        """Changes text that stands in a file of the build exactly once."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def network_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    network = digits()
    images = np.random.default_rng(3).integers(0, 16, (IMAGES, 8, 8, 1)).astype(np.uint8)
    save(network, folder / "network.safetensors")
    save_test_set(TestSet(images, network.run(images)), folder / "test.safetensors")
    return folder


@pytest.fixture(scope="module")
def built(network_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    source = find_network(str(network_folder))
    folder = tmp_path_factory.mktemp("built") / "digits"
    return Built(folder, build(source, folder, Budget(lanes=80), Steps(Console(quiet=True))), source)


def told(differences: Sequence[object]) -> str:
    return "\n".join(map(str, differences))


def test_every_value_is_equal_and_every_beat_on_time(built: Built) -> None:
    outcome = built.run()
    assert outcome.verdict.values == () and outcome.verdict.cycles == ()
    values = built.source.network.trace(built.source.sample(IMAGES).images)
    assert (outcome.record["o"].codes.ravel() == values["argmax"]).all()
    assert outcome.image_ends == list(outcome.prediction.outputs)


def test_the_report_counts_what_was_compared_and_forgets_it(built: Built) -> None:
    before = read_report(built.folder)
    sample = built.source.sample(IMAGES)
    now = with_simulation(before, built.plan, built.run(), built.source, sample, NO_STALL)
    each = 8 * 8 * 1 + 6 * 6 * 8 + 4 * 4 * 16 + 2 * 2 * 16 + 10 + 1
    assert (now.images, now.compared, now.mismatches) == (IMAGES, IMAGES * each, 0)
    assert now.layers[1].cycles == Cycles(288, 288)
    assert now.accuracy == Accuracy(None, Score(IMAGES, IMAGES), Score(IMAGES, IMAGES))
    assert now != before == forget_simulation(now, built.source.network)


@pytest.mark.parametrize("stall", [Stall(0.2, 1), Stall(0.6, 2)])
def test_stalls_change_no_value(built: Built, stall: Stall) -> None:
    outcome = built.run(stall)
    assert outcome.verdict.values == ()
    assert outcome.image_ends[-1] > outcome.prediction.outputs[-1]


def test_with_stalls_every_stream_has_its_beats_and_none_is_early(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The streams that mark the first step of each window too, which carry no values to compare."""
    prediction = built.plan.predict(IMAGES)
    prediction.layers[1].starts[7] += 10**6
    prediction.layers[2].starts.append(10**6)
    monkeypatch.setattr(Plan, "predict", lambda self, images: prediction)
    found = built.run(Stall(0.3, 3)).verdict.cycles
    assert [difference.layer for difference in found] == ["start_conv2", "start_pool"]
    assert found[0].message.startswith("beat 7: predicted at the earliest in cycle 1000")
    assert found[1].message.endswith(f"beats, got {len(prediction.layers[2].starts) - 1}")


def test_a_flipped_weight_is_found(built: Built, tmp_path: Path) -> None:
    broken = built.copied(tmp_path / "build")
    rom = broken.folder / "rom" / "conv2.pe3.lane0.hex"
    first, *rest = rom.read_text().splitlines()
    rom.write_text("\n".join([first[:-1] + f"{int(first[-1], 16) ^ 8:x}", *rest]) + "\n")
    outcome = broken.run()
    layers = [difference.layer for difference in outcome.verdict.values]
    assert layers[0] == "conv2" and "conv1" not in layers
    # PE 3 of 8 computes channels 3 and 11, and the first step of the ROM belongs to channel 3.
    assert "channel 3: expected" in outcome.verdict.values[0].message
    assert outcome.verdict.cycles == ()


def test_a_changed_rounding_constant_is_found(built: Built, tmp_path: Path) -> None:
    """In the plan after the proof, so that only the hardware is wrong."""
    layer = next(layer for layer in built.plan.layers if layer.stage.name == "conv1")
    form = layer.form
    assert form is not None
    broken_form = (
        replace(form, offset=tuple(o - (1 << form.shift) // 2 for o in form.offset))
        if hasattr(form, "offset")
        else replace(form, thresholds=tuple(tuple(t + 100 for t in row) for row in form.thresholds))
    )
    layers = tuple(replace(one, form=broken_form) if one is layer else one for one in built.plan.layers)
    outcome = _rebuilt(built, replace(built.plan, layers=layers), tmp_path).run()
    assert outcome.verdict.values[0].layer == "conv1"
    assert "image 0, row 0, column" in outcome.verdict.values[0].message


def test_a_fifo_that_is_too_small_is_late_and_named(built: Built, tmp_path: Path) -> None:
    """Places are reserved, so a small FIFO loses nothing: it holds its layer up, and the cycle model
    says so."""
    layers = tuple(
        replace(one, timing=replace(one.timing, fifo_depth=one.timing.reservation.full))
        if one.stage.name == "conv2"
        else one
        for one in built.plan.layers
    )
    broken = _rebuilt(built, replace(built.plan, layers=layers), tmp_path)
    outcome = replace(broken, plan=built.plan).run()
    assert outcome.verdict.values == ()
    assert "start_conv2: beat 1: predicted in cycle" in told(outcome.verdict.cycles)


def test_a_fifo_smaller_than_its_places_is_found(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storage of one beat behind places for many, where a slow last layer holds up those before it."""
    import hw.fifo

    plan, whole = tmp_path / "plan.toml", hw.fifo.Memory
    told_plan = (built.folder / "plan.toml").read_text()
    plan.write_text(told_plan.replace("run_lanes = 3\nbuffer_rows = 3\n", "run_lanes = 1\n"))
    slow = build(built.source, tmp_path / "slow", Budget(plan=plan), Steps(Console(quiet=True)))
    monkeypatch.setattr(hw.fifo, "Memory", lambda shape, depth, init: whole(shape=shape, depth=1, init=init))
    outcome = _rebuilt(replace(built, folder=tmp_path / "slow"), slow, tmp_path).run()
    assert slow.cycles_per_image == 640 and outcome.verdict.cycles == ()
    assert "row 0, column 0, channel" in told(outcome.verdict.values)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda rom: rom.unlink(), "must be there and is not; run in the folder of the build, or define"),
        (lambda rom: rom.write_text(rom.read_text()[:-2]), "must have 1540 bytes, not 1538; build anew"),
    ],
)
def test_a_rom_file_that_is_lost_or_short_ends_the_simulation(
    spoil: Callable[[Path], object], said: str, built: Built, tmp_path: Path
) -> None:
    """A simulator takes it for a warning, and goes on with zeros."""
    broken = built.copied(tmp_path / "build")
    spoil(broken.folder / "rom" / "fc.pe0.lane0.hex")
    with pytest.raises(UserError) as error:
        broken.run()
    assert str(error.value).startswith(
        f"the simulation must end with a verdict, and did not: 'rom/fc.pe0.lane0.hex' {said}"
    )


def test_a_wrong_expectation_is_found_with_its_cycle(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    network = built.source.network
    values = network.trace(built.source.sample(IMAGES).images)
    values["fc"][5, 7] += 1
    monkeypatch.setattr(type(network), "trace", lambda self, images: values)
    outcome = built.run()
    (difference,) = outcome.verdict.values
    assert difference.layer == "fc"
    expected, got = values["fc"][5, 7], values["fc"][5, 7] - 1
    assert (
        f"image 5, row 0, column 0, channel 7: expected {expected}, got {got} in cycle" in difference.message
    )


def test_a_wrong_prediction_is_found(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = built.plan.predict(IMAGES)
    prediction.layers[1].beats[100] += 1
    monkeypatch.setattr(Plan, "predict", lambda self, images: prediction)
    outcome = built.run()
    assert [difference.layer for difference in outcome.verdict.cycles] == ["tap_conv2"]
    assert outcome.verdict.cycles[0].message.startswith("beat 100: predicted in cycle")


def test_a_source_that_stops_is_named_by_the_watchdog(built: Built) -> None:
    from sim.run import bench

    images = built.source.sample(IMAGES).images.astype(np.int64)
    beats = built.plan.input.pack(images)[:-30]
    with pytest.raises(Stuck, match=r"^nothing moved after cycle \d+; empty \(ready, not valid\): i, .*o$"):
        bench(built.folder).run({"i": beats}, {"o": IMAGES})


def test_a_stream_that_takes_back_what_it_offered_breaks_the_law(built: Built, tmp_path: Path) -> None:
    liar = tmp_path / "liar.v"
    liar.write_text(
        "module liar(input clk, input rst, input i__valid, output i__ready, input [3:0] i__payload,\n"
        "            output reg o__valid, input o__ready, output [3:0] o__payload);\n"
        "  assign i__ready = 1; assign o__payload = 7;\n"
        "  always @(posedge clk) o__valid <= rst ? 0 : ~o__valid;\n"
        "endmodule\n"
    )
    from sim.run import bench

    ports = tuple(port for port in bench(built.folder).ports if port.name in ("i", "o"))
    with pytest.raises(ProtocolError, match=r"^valid fell or the payload changed before ready, on o$"):
        VerilatorBench("liar", (liar,), ports, tmp_path).run(
            {"i": np.zeros((40, 1), np.int64)}, {"o": 20}, stall=Stall(0.5, 1)
        )


def test_the_command_says_what_is_not_equal_and_exits_1(built: Built, tmp_path: Path) -> None:
    """A ROM file changed after the build was checked: the command builds it anew, so it is changed in
    between."""
    script = (
        "import contextlib, sys, sim.cli as cli, pathlib\n"
        "built = cli.built\n"
        "@contextlib.contextmanager\n"
        "def broken(source, out, *rest, **named):\n"
        "    with built(source, out, *rest, **named) as plan:\n"
        "        path = out / 'rom' / 'fc.pe0.lane0.hex'\n"
        "        path.write_text(path.read_text().replace('0', 'f', 1))\n"
        "        yield plan\n"
        "cli.built = broken\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    (tmp_path / "breaks.py").write_text(script)
    said = command(
        tmp_path, "breaks", str(built.source.path.parent), "--images", "3", PYTHONPATH=_paths(tmp_path)
    )
    assert said.returncode == 1
    assert "not equal  fc: image 0, row 0, column 0, channel" in said.stdout


def _paths(folder: Path) -> str:
    return f"{Path(__file__).parents[2]}:{folder}"


def _rebuilt(built: Built, plan: Plan, folder: Path) -> Built:
    """A build whose Verilog and ROM files are those of another plan."""
    from codegen.accelerator import Accelerator, Taps
    from codegen.manifest import TOP
    from codegen.verilog import verilog_text

    broken = built.copied(folder / "build")
    (broken.folder / f"{TOP}.v").write_text(verilog_text(Accelerator(plan, taps=Taps.ALL), TOP))
    return replace(broken, plan=plan)


@pytest.mark.parametrize("more", [[], ["--reloadable"]])
def test_weights_that_no_block_holds_lie_in_banks(tmp_path: Path, more: list[str]) -> None:
    chain = Chain([11], (1, 1, 80), 4).flatten().linear("deep", 30, bits=4).requantise("q", 4)
    save(chain.linear("fc", 5, bits=4).argmax().network("banks"), tmp_path / "network.safetensors")
    done = command(
        tmp_path, "sim", "network.safetensors", "--lanes", "2", "--images", "3", "--out", "out", *more
    )
    assert done.returncode == 0, done.stderr
    assert "all equal" in done.stdout
    rows = {path.name: len(path.read_text().splitlines()) for path in (tmp_path / "out/rom").glob("deep.pe*")}
    assert rows == {"deep.pe0.lane0.row0.hex": 2048, "deep.pe0.lane0.row2048.hex": 352}
