"""`python -m codegen host`: shows a board images and says what it makes of them."""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import serial
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from codegen.errors import UserError
from codegen.ir import IntegerNetwork, class_text, load
from codegen.networks import Source, find_network
from codegen.pictures import SUFFIXES, Fit, decoded, is_picture, to_codes, without_warnings
from codegen.places import NETWORK, RUNS
from codegen.program import COMMANDS, spelled

from .board import BAUD, Board
from .identity import Identity

__all__ = ["add_host", "read_picture"]

_POLL_SECONDS = 0.02


def add_host(commands: Any) -> None:
    """The command that talks to a board."""
    talking = commands.add_parser(
        "host",
        help=COMMANDS["host"][1],
        description="Show images to a board that carries a network, over its serial port, and say what it "
        "makes of them. Held-out images of the network are compared with the golden model, scores and "
        "classes, by equality.",
        epilog=f"Example: {spelled('host', 'digits_w4a4 --port /dev/ttyUSB0')}",
    )
    talking.add_argument(
        "what",
        nargs="+",
        help="pictures, or the network that the board carries: a recipe or its file, a folder that training "
        "wrote, or a network.safetensors file, whose held-out images are then shown and whose scores must "
        "be equal",
    )
    talking.add_argument(
        "--port", required=True, help="the board's serial port, such as /dev/ttyUSB0 or COM3"
    )
    talking.add_argument("--images", type=int, metavar="N", help="held-out images to show (default all)")
    talking.add_argument(
        "--timeout",
        type=float,
        default=1.0,
        metavar="S",
        help="seconds to wait for an answer before asking again (default %(default)s)",
    )
    talking.set_defaults(run=_host)


def _host(arguments: argparse.Namespace) -> int:
    """Runs the command; 1 if a score is not equal to the golden model's."""
    if not 0 < arguments.timeout <= 3600:
        raise UserError(f"--timeout must be more than 0 and at most 3600 s, not {arguments.timeout:g}")
    paths = [Path(name) for name in arguments.what]
    source = None if all(is_picture(path) for path in paths) else _network(arguments.what)
    console = Console()
    with _line(arguments.port) as line:
        board = Board(line, arguments.timeout)
        identity = board.identify()
        console.print(_described(identity, arguments.port), highlight=False, soft_wrap=True)
        if source is None:
            return _show_pictures(console, board, identity, paths)
        return _show_held_out(console, board, identity, source, arguments.images)


def _line(port: str) -> serial.Serial:
    try:
        return serial.Serial(port, BAUD, timeout=_POLL_SECONDS, write_timeout=10)
    except (serial.SerialException, ValueError) as error:
        raise UserError(f"--port must be a serial port that can be opened, not '{port}': {error}") from error


def _network(names: Sequence[str]) -> Source:
    """The one network that is named. Raises ``UserError`` for several names, or none that is known."""
    if len(names) > 1:
        wrong = next(name for name in names if not is_picture(Path(name)))
        known = ", ".join(SUFFIXES)
        raise UserError(
            f"what is shown must be pictures ({known}) or one network, but '{wrong}' is no picture file"
        )
    return find_network(names[0])


def _described(identity: Identity, port: str) -> str:
    shape = f"{identity.rows} x {identity.columns} x {identity.channels}"
    return f"{port}: {identity.network}, images {shape} of 0..{identity.high}, {identity.count} classes"


def _show_pictures(console: Console, board: Board, identity: Identity, paths: Sequence[Path]) -> int:
    pictures, classes = [read_picture(path, identity) for path in paths], _classes(identity)
    for path, answer in zip(paths, board.classify(pictures, identity), strict=True):
        shown = class_text(classes, answer.label)
        console.print(f"{path}: class {shown}", highlight=False, soft_wrap=True, markup=False)
        console.print(f"  scores {' '.join(map(str, answer.scores))}", highlight=False, soft_wrap=True)
    return 0


def _classes(identity: Identity) -> tuple[str, ...]:
    """The names of the classes, if the network that the board says it carries was trained here."""
    try:
        network = load(RUNS / identity.network / NETWORK)
    except UserError:
        return ()
    return network.classes if len(network.classes) == identity.count else ()


def read_picture(path: Path, identity: Identity) -> NDArray[np.uint8]:
    """A picture as training would have made an image of it, in the codes that the board reads."""
    if identity.channels not in (1, 3):
        raise UserError(
            f"a board must read one channel or three to be shown a picture, not {identity.channels}; "
            "name its network instead, for its own images"
        )
    fit = Fit(identity.rows, identity.columns, identity.channels, identity.side)
    with without_warnings():
        return to_codes(decoded(path, fit), identity.high)


@dataclass
class _Tally:
    shown: int = 0
    right: int = 0
    wrong_scores: int = 0


def _show_held_out(
    console: Console, board: Board, identity: Identity, source: Source, count: int | None
) -> int:
    _check_shape(identity, source)
    sample = source.sample(count)
    images, labels = sample.images, sample.labels
    expected = _golden(source.network, images)
    tally, start = _Tally(), time.monotonic()
    with _progress(console) as progress:
        task = progress.add_task("", total=len(images), rate="")
        for answer, (scores, label) in zip(board.classify(list(images), identity), expected, strict=True):
            equal = answer.label == label and bool(np.array_equal(answer.scores, scores))
            tally.right += labels is not None and answer.label == int(labels[tally.shown])
            tally.shown += 1
            tally.wrong_scores += not equal
            rate = tally.shown / (time.monotonic() - start)
            progress.update(task, completed=tally.shown, rate=f"{rate:,.0f} images/s")
    for line in _summary(tally, board, time.monotonic() - start, labels is not None):
        console.print(line, highlight=False, soft_wrap=True)
    return 1 if tally.wrong_scores else 0


def _progress(console: Console) -> Progress:
    columns = (TextColumn("show"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True)


def _check_shape(identity: Identity, source: Source) -> None:
    shape = (identity.rows, identity.columns, identity.channels)
    wanted = source.network.input
    if wanted.shape != shape or wanted.high != identity.high:
        raise UserError(
            f"'{source.name}' must read what the board does, images {shape} of 0..{identity.high}, not "
            f"{wanted.shape} of 0..{wanted.high}; the board carries '{identity.network}'"
        )


def _golden(network: IntegerNetwork, images: NDArray[np.integer]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Scores and class of each image, by the golden model."""
    argmax = network.nodes[-1]
    for start in range(0, len(images), 64):
        values = network.trace(images[start : start + 64].astype(np.int64))
        scores = values[argmax.inputs[0]]
        yield from zip(scores.reshape(len(scores), -1), map(int, values[argmax.name].ravel()), strict=True)


def _summary(tally: _Tally, board: Board, seconds: float, labelled: bool) -> Iterator[str]:
    yield f"{tally.shown:,} images in {seconds:.1f} s, {tally.shown / seconds:,.0f} images/s"
    if labelled:
        yield f"{tally.right:,} of {tally.shown:,} right, {100 * tally.right / tally.shown:.2f} %"
    if board.repeated:
        yield f"{board.repeated:,} requests sent again, as the line was noisy or slow"
    yield "scores and classes: " + (
        f"NOT EQUAL to the golden model in {tally.wrong_scores:,} images"
        if tally.wrong_scores
        else "all equal to the golden model"
    )
