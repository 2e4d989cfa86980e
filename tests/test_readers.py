"""Every reader answers a bad file with one sentence, whatever is in it, and reads the whole one."""

import contextlib
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from codegen.budget import Budget
from codegen.errors import UserError
from codegen.files import is_stamped, stamp
from codegen.ir import TestSet, load, load_test_set, save, save_test_set
from codegen.manifest import read_manifest, write_manifest
from codegen.networks import Source
from codegen.pictures import Fit, decoded, without_warnings
from codegen.plan_file import plan_text, read_bounds, read_plan
from codegen.planner import make_plan
from codegen.report import read_report
from codegen.stages import fuse
from codegen.steps import Steps
from model import recipe as recipes
from model.checkpoint import NAME, Checkpoint, Progress
from model.journal import Record
from model.record import RUN, Changed, RunRecord, Score, read_record, write_record
from tests.codegen.report.reports import placed, report_of, simulated
from tests.mutants import mutants
from tests.networks import tiny

DIGEST = "0" * 64


@dataclass(frozen=True)
class Reader:
    """How a reader is called on a path, and whole files for it, or what ``wrap`` makes whole files of."""

    name: str
    read: Callable[[Path], object]
    wholes: Callable[[Path], list[bytes]]
    file: str = "file"
    wrap: Callable[[Path, bytes], bytes] = lambda folder, content: content


def written(folder: Path, name: str) -> list[bytes]:
    return [(folder / name).read_bytes()]


def networks(folder: Path) -> list[bytes]:
    save(replace(tiny(), classes=("cat", "dog", "eel")), folder / "network")
    return written(folder, "network")


def image_files(folder: Path) -> list[bytes]:
    images, labels = np.zeros((3, 4, 4, 1), np.uint8), np.array([0, 1, 1])
    save_test_set(TestSet(images, labels, ("cat", "dog"), {"teacher": labels}), folder / "test")
    return written(folder, "test")


def header(whole: bytes) -> bytes:
    """The metadata of a file of ours."""
    size = int.from_bytes(whole[:8], "little")
    text: str = json.loads(whole[8 : 8 + size])["__metadata__"]["intandem"]
    return text.encode()


def signed(folder: Path, text: bytes) -> bytes:
    """The file in ``folder`` with other metadata and the digest that fits, as an attacker would give it."""
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError):
        told = json.loads(text)
        told.pop("digest", None)
        tensors = from_safetensors(whole)
        digest = hashlib.sha256(compact(told).encode())
        for name, array in sorted(tensors.items()):
            digest.update(compact([name, "U8" if array.itemsize == 1 else "I64", list(array.shape)]).encode())
            digest.update(array.tobytes())
        text = compact(told | {"digest": digest.hexdigest()}).encode()
        return to_safetensors(tensors, {"intandem": text.decode()})
    return to_safetensors(from_safetensors(whole), {"intandem": text.decode(errors="replace")})


def compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def plan() -> object:
    return make_plan(Source("tiny", None, tiny(), None), Budget(lanes=8), Steps(Console(quiet=True)))


def plans(folder: Path) -> list[bytes]:
    return [plan_text(plan()).encode()]


def read_whole_plan(path: Path) -> None:
    read_bounds(path)
    read_plan(path, fuse(tiny()))


def manifests(folder: Path) -> list[bytes]:
    write_manifest(folder, plan(), ("cat", "dog", "eel"))
    return written(folder, "manifest.json")


def reports(folder: Path) -> list[bytes]:
    whole = report_of(tiny(), 8)
    return [json.dumps(told).encode() for told in (whole, placed(simulated(report_of(tiny(), 8))))]


def stamps(folder: Path) -> list[bytes]:
    (folder / "a").write_text("content")
    stamp(folder, "key", ["a"])
    return written(folder, "stamp.json")


def runs(folder: Path) -> list[bytes]:
    score, changed = Score(360, None, 350, 300, 349, 349), Changed(1, 200)
    recipe = recipes.load("digits_w4a4")
    write_record(folder, RunRecord(recipe, 0, score, changed, (), ("a",), 1.5, {"teacher": 1.0}, 1))
    return written(folder, RUN)


def checkpoints(folder: Path) -> list[bytes]:
    import torch

    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    records = [Record("float", 1, 0.5, 0.9, 1.0, 100.0)]
    progress = Progress(DIGEST, ["float"], 3, {"float": 3}, {"float": 1.0}, records, ["odd"])
    Checkpoint(folder).write(progress, network, optimiser)
    return written(folder, NAME)


def pictures(folder: Path) -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (24, 31, 3), np.uint8)
    kinds = [
        (Image.fromarray(noise), "PNG", {}),
        (Image.fromarray(noise).convert("P"), "PNG", {"transparency": bytes(range(100))}),
        (Image.fromarray(noise), "JPEG", {}),
        (Image.fromarray(noise), "JPEG", {"progressive": True}),
        (Image.fromarray(noise).convert("CMYK"), "JPEG", {}),
    ]
    files = []
    for picture, kind, options in kinds:
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        files.append(buffer.getvalue())
    return files


def read_picture(path: Path) -> None:
    with without_warnings():
        assert decoded(path, Fit(6, 7, 3)).shape == (6, 7, 3)


READERS = [
    Reader("recipe", lambda path: recipes.load(str(path)), lambda _: _recipes(), "mine.toml"),
    Reader("plan", read_whole_plan, plans),
    Reader("test set", load_test_set, image_files),
    Reader("network", load, networks),
    Reader("signed test set", load_test_set, lambda folder: [header(*image_files(folder))], wrap=signed),
    Reader("signed network", load, lambda folder: [header(*networks(folder))], wrap=signed),
    Reader("checkpoint", lambda path: Checkpoint(path.parent).read(DIGEST), checkpoints, NAME),
    Reader("manifest", lambda path: read_manifest(path.parent), manifests, "manifest.json"),
    Reader("report", lambda path: read_report(path.parent), reports, "report.json"),
    Reader("stamp", lambda path: is_stamped(path.parent, "key"), stamps, "stamp.json"),
    Reader("run", lambda path: read_record(path.parent), runs, RUN),
    Reader("picture", read_picture, pictures),
]


def _recipes() -> list[bytes]:
    return [text.encode() for text in recipes.shipped().values()]


@pytest.mark.parametrize("count", [400, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_mutants_are_read_or_refused_in_one_sentence(reader: Reader, count: int, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    wholes = reader.wholes(tmp_path / "whole")
    path = tmp_path / reader.file
    for whole in wholes:
        path.write_bytes(reader.wrap(tmp_path / "whole", whole))
        reader.read(path)
    refused = 0
    for name, content in mutants(wholes, count):
        path.write_bytes(reader.wrap(tmp_path / "whole", content))
        try:
            reader.read(path)
        except UserError as error:
            refused += 1
            assert 0 < len(str(error)) < 2000 and "Traceback" not in str(error), name
        except Exception as error:
            raise AssertionError(f"{reader.name}, {name}: {type(error).__name__}: {error}") from error
    assert refused > count // 4 or reader.name == "stamp"
