"""plan.toml: what a build writes can be edited and given back, and what does not fit is refused by name."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from codegen.errors import UserError
from codegen.fold import fold
from codegen.folds import Fold
from codegen.plan import Plan, requantise_forms, size
from codegen.plan_file import plan_text, read_plan
from codegen.stages import fuse
from tests.networks import Chain, digits, random_chain


def planned(seed: int | None = None, lanes: int = 80) -> Plan:
    network = digits() if seed is None else random_chain(seed)
    stages = fuse(network)
    return size(network, stages, fold(stages, lanes), requantise_forms(stages))


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_comes_back_from_its_file(seed: int, tmp_path: Path) -> None:
    network, plan = random_chain(seed), planned(seed)
    (tmp_path / "plan.toml").write_text(plan_text(plan))
    stages = fuse(network)
    folds, sizes = read_plan(tmp_path / "plan.toml", stages)
    again = size(network, stages, folds, requantise_forms(stages), sizes)
    assert [layer.timing for layer in again.layers] == [layer.timing for layer in plan.layers]
    assert [layer.fold for layer in again.layers] == [layer.fold for layer in plan.layers]


def test_products_of_logic_come_back_too(tmp_path: Path) -> None:
    plan = planned()
    folds = {layer.stage.name: layer.fold for layer in plan.layers}
    folds["conv2"] = replace(folds["conv2"], logic=True)
    stages = fuse(digits())
    text = plan_text(size(digits(), stages, folds, requantise_forms(stages)))
    assert text.count("logic = 1") == 1
    assert edited(text, tmp_path)[0] == folds


def test_the_file_says_what_a_layer_costs() -> None:
    text = plan_text(planned())
    assert '["conv2"]  # 64 lanes, 288 steps an image\npe = 8\nrow_lanes = 1\nrun_lanes = 8\n' in text
    assert '["pool"]  # 256 steps an image\nrow_lanes = 1\nrun_lanes = 1\ngroups = 16\n' in text


def edited(text: str, tmp_path: Path) -> tuple[dict[str, Fold], Path]:
    path = tmp_path / "my.toml"
    path.write_text(text)
    return read_plan(path, fuse(digits()))[0], path


def test_a_file_can_be_edited_and_sizes_left_out(tmp_path: Path) -> None:
    text = plan_text(planned()).replace(
        "pe = 8\nrow_lanes = 1\nrun_lanes = 8", "pe = 5\nrow_lanes = 2\nrun_lanes = 7"
    )
    text = re.sub(r"(buffer_rows|fifo_depth) = \d+\n", "", text)
    folds, path = edited(text, tmp_path)
    assert folds["conv2"] == Fold(5, 2, 7)
    network, stages = digits(), fuse(digits())
    plan = size(network, stages, *[read_plan(path, stages)[0], requantise_forms(stages)])
    assert plan.layers[1].fold == Fold(5, 2, 7) and plan.layers[1].timing.window.buffer_rows >= 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["conv2"]', '["conf2"]', "a section must be a layer, not 'conf2'; did you mean 'conv2'?"),
        ('["fc"]', '["fc", x]', "must be TOML, but: "),
        ("pe = 8", "pe = 17", "layer 'conv2': pe must be at most 16, the output channels of a group, not 17"),
        ("pe = 8", "pe = 0", "layer 'conv2': pe must be a whole number from 1 up, not 0"),
        ("pe = 8", "pe = true", "layer 'conv2': pe must be a whole number from 1 up, not True"),
        ("pe = 8", "pe = 8.0", "layer 'conv2': pe must be a whole number from 1 up, not 8.0"),
        ("pe = 8\n", "", "layer 'conv2': it must have a section with pe, row_lanes, run_lanes"),
        ("run_lanes = 8", "run_lanes = 25", "layer 'conv2': run_lanes must be at most the run of 24, not 25"),
        ("pe = 8", "pe = 8\nsimd = 8", "'conv2': a key must be one of pe, row_lanes, run_lanes, pixels, "
         "logic, buffer_rows, fifo_depth, not 'simd'"),
        ("pe = 8", "pe = 8\nfifo_dept = 8", "fifo_depth, not 'fifo_dept'; did you mean 'fifo_depth'?"),
        ("pe = 8", "pe = 8\npixels = 2", "layer 'conv2': pixels must be 1 where a window is not read once"),
        ("pe = 8", "pe = 8\nlogic = 2", "layer 'conv2': logic must be 1 or not there, not 2"),
        ("groups = 16", "groups = 3", "layer 'pool': groups must divide the 16 channels, not 3"),
        ("groups = 16", "groups = 8", "run_lanes must be whole kernel positions of 2 channels, not 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = plan_text(planned())
    assert text.count(old) >= 1
    with pytest.raises(UserError, match=f"^plan '{re.escape(str(tmp_path))}/my.toml'.*{re.escape(message)}"):
        edited(text.replace(old, new, 1), tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fifo_depth", 3, "depth must be at least 4 and hold the"),
        ("buffer_rows", 2, "buffer_rows must be a multiple of row_lanes (1) and at least 3, not 2"),
    ],
)
def test_sizes_that_would_lose_beats_or_stop_are_refused(
    key: str, value: int, message: str, tmp_path: Path
) -> None:
    before, mark, after = plan_text(planned()).partition('["conv2"]')
    text = before + mark + re.sub(rf"{key} = \d+", f"{key} = {value}", after, count=1)
    with pytest.raises(UserError, match=f"layer 'conv2': {re.escape(message)}"):
        edited(text, tmp_path)


def test_a_layer_without_section_is_named(tmp_path: Path) -> None:
    text = plan_text(planned()).partition('["fc"]')[0]
    with pytest.raises(UserError, match=r"layer 'fc': it must have a section with pe, row_lanes, run_lanes$"):
        edited(text, tmp_path)


def test_any_name_of_a_layer_can_be_written(tmp_path: Path) -> None:
    network = Chain(0, (3, 3, 1), 2).conv("features.0", 2, (1, 1)).network()
    stages = fuse(network)
    plan = size(network, stages, fold(stages, 2), {})
    (tmp_path / "plan.toml").write_text(plan_text(replace(plan, network='strange " name')))
    assert set(read_plan(tmp_path / "plan.toml", stages)[0]) == {"features_0"}
