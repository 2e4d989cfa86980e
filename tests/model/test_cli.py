"""The command line: files, repeated runs, errors without tracebacks, Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import model.run
from codegen.ir import load, load_test_set
from model.cli import main
from model.recipe import shipped

ROOT = Path(__file__).parents[2]
FILES = [
    "curves.png", "metrics.jsonl", "network.safetensors", "run.json", "stamp.json", "teacher.safetensors",
    "test.safetensors",
]  # fmt: skip


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe file of one epoch a stage, in an empty folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    text = re.sub(r"epochs = \d+", "epochs = 1", shipped()["digits_w4a4"])
    Path("tiny.toml").write_text(text)
    return "tiny.toml"


def test_train_writes_everything_and_then_only_when_something_changed(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("runs/tiny")
    assert main(["train", recipe]) == 0
    said = capsys.readouterr()
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert re.search(r"^integer network +\d+ +\d+\.\d\d%", said.out, re.MULTILINE)
    assert said.out.endswith("written to runs/tiny\n")
    assert [line.split("  ")[0] for line in said.err.splitlines() if "epochs," in line] == [
        "float", "teacher", "student conv1", "student conv2", "student fc",
    ]  # fmt: skip
    check_files(folder)
    named_in_every_way(folder, capsys)
    repeated(recipe, folder, capsys)


def named_in_every_way(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = set()
    for name in ("tiny", "tiny.toml", str(folder), str(folder / "network.safetensors")):
        assert main(["evaluate", name]) == 0
        said.add(capsys.readouterr().out)
        if name != "tiny":  # which no recipe that ships is called
            assert main(["train", name]) == 0
            assert capsys.readouterr().out.startswith("runs/tiny is up to date: same recipe, seed 0")
    assert len(said) == 1


def check_files(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text())
    test = load_test_set(folder / "test.safetensors")
    correct = int((load(folder / "network.safetensors").run(test.images) == test.labels).sum())
    assert correct == run["correct"]["network"] == run["correct"]["student"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines] == [
        "float", "teacher", "student conv1", "student conv2", "student fc",
    ]  # fmt: skip
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def repeated(recipe: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "network.safetensors").read_bytes(), (folder / "run.json").stat().st_mtime_ns
    assert main(["train", recipe]) == 0
    assert "is up to date: same recipe, seed 0, data and code (--force" in capsys.readouterr().out
    assert (folder / "run.json").stat().st_mtime_ns == before[1]
    (folder / "network.safetensors").write_bytes(b"damaged")
    assert main(["train", recipe]) == 0
    assert (folder / "network.safetensors").read_bytes() == before[0]
    (folder / "test.safetensors").write_bytes(b"damaged")
    assert main(["train", recipe]) == 0
    assert load_test_set(folder / "test.safetensors").images.shape == (360, 8, 8, 1)
    assert main(["train", recipe, "--seed", "1"]) == 0
    assert (folder / "network.safetensors").read_bytes() != before[0]
    assert main(["train", recipe, "--seed", "1", "--force"]) == 0
    assert "up to date" not in capsys.readouterr().out


def test_evaluate_counts_and_shows_the_layers(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", recipe, "--out", "here", "--seed", "3"]) == 0
    run = json.loads(Path("here/run.json").read_text())
    capsys.readouterr()
    assert main(["evaluate", "here/network.safetensors"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"tiny: {run['correct']['network']} of 360 right, ")
    assert "from recipe tiny, seed 3, scikit-learn digits" in said
    assert re.search(r"^conv2_requantise +\d+\.\d% +\d+\.\d% +\d+ of 16", said, re.MULTILINE)
    Path("here/test.safetensors").rename("elsewhere.safetensors")
    assert main(["evaluate", "here/network.safetensors", "--test", "elsewhere.safetensors"]) == 0
    broken_files(Path("here/network.safetensors"), capsys)


def broken_files(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = path.read_bytes()
    capsys.readouterr()
    assert error(["evaluate", str(path)], capsys).startswith("error: test set file 'here/test.safetensors': ")
    for damaged in (content[:-7], content[:-1] + bytes([content[-1] ^ 1]), b"", b"\xff" * 100):
        path.write_bytes(damaged)
        message = error(["evaluate", str(path), "--test", "elsewhere.safetensors"], capsys)
        assert message.startswith("error: network file 'here/network.safetensors': ")
    message = error(["evaluate", "none"], capsys)
    assert message.startswith("error: network must be a file, a run's folder or a trained recipe, not 'none'")


def error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that must fail with status 2 says, in at most two lines and without a traceback."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) <= 2
    assert "Traceback" not in said.err
    return said.err


def test_mistakes_are_told_with_a_remedy(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "did you mean 'digits_w4a4'?" in error(["train", "digits_w4a"], capsys)
    Path("file").write_text("")
    message = error(["train", recipe, "--out", "file"], capsys)
    assert message == "error: --out must be a folder that can be written to, not 'file'; name another one\n"
    message = error(["train", recipe, "--data", "nowhere"], capsys)
    assert "digits must be in 'nowhere/digits.csv.gz', but: No such file" in message
    Path("digits.csv.gz").write_text("not zipped")
    assert "must be the file that scikit-learn ships" in error(["train", recipe, "--data", "."], capsys)
    assert not Path("runs").exists()


@pytest.mark.parametrize("seed", ["-1", "x", "1.5", "²", str(2**63)])
def test_a_seed_is_a_whole_number(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as status:
        main(["train", "digits_w4a4", f"--seed={seed}"])
    assert status.value.code == 2
    assert f"must be a whole number from 0 to 2^63 - 1, not '{seed}'" in capsys.readouterr().err


def test_ctrl_c_ends_with_one_line_and_no_file(
    recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.run, "train", interrupted)
    assert main(["train", recipe]) == 130
    assert capsys.readouterr().err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_real_ctrl_c_in_the_middle_of_training(recipe: str, tmp_path: Path) -> None:
    text = Path(recipe).read_text()
    Path(recipe).write_text(text.replace("schedule = { epochs = 1,", "schedule = { epochs = 10000,", 1))
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's background jobs ignore it
    code = f"import signal, sys; from model.cli import main; {heard}; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", recipe]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("float ")  # the teacher is in training now
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == (
            "interrupted; no file is left half written. With --resume the same command goes on from the last "
            "whole epoch, without it starts again\n"
        )
        assert process.wait(30) == 130
    assert [path.name for path in (tmp_path / "runs/tiny").glob("*")] in ([], ["checkpoint.safetensors"])


def test_list_names_every_recipe_and_what_was_trained(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", recipe, "--out", "runs/digits_w2a2"]) == 0
    Path("runs/digits_w1a1").mkdir()
    Path("runs/digits_w1a1/network.safetensors").write_text("damaged")
    capsys.readouterr()
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for name in shipped():
        assert re.search(rf"^{name} ", said, re.MULTILINE)
    assert re.search(r"^digits_w2a2 .*%, seed 0", said, re.MULTILINE)
    assert re.search(r"^digits_w8a8 .* no$", said, re.MULTILINE)
    assert re.search(r"^digits_w1a1 .* its file cannot be read$", said, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["evaluate", "--help"], ["list", "--help"]]
)
def test_help_explains(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as status:
        main(arguments)
    assert status.value.code == 0
    assert "integer" in capsys.readouterr().out or arguments[0] == "list"


def test_light_commands_do_without_torch() -> None:
    code = "import sys; from model.cli import main; main(['list']); sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode
        == 0
    )
