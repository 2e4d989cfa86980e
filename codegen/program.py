"""How the program is started: by a user, from a shell or a clone, and by itself in another process.

The console script ``intandem`` works in any folder. A user's folder may well have a ``model.py`` or a folder
``sim``: so it is never searched, and our own packages come first, in child processes too. ``python -m
codegen``, ``model`` and ``sim`` do the same in a clone. This file is also a script, which imports nothing of
ours until it has made sure that ours is what it gets.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

__all__ = ["COMMANDS", "child", "guarded", "main", "run_child", "spelled", "started_as"]

COMMANDS = {
    "train": ("model", "train a recipe and export the integer network"),
    "evaluate": ("model", "count what an integer network gets right"),
    "list": ("model", "show the recipes that can be trained"),
    "results": ("model", "run a study and print its tables"),
    "build": ("codegen", "write Verilog, weight images, test vectors, manifest and report"),
    "sim": ("sim", "simulate the accelerator in Verilator and compare every value and every cycle"),
    "bitstream": ("codegen", "put a network on a board, or on a device for its area and clock"),
    "host": ("codegen", "show images to a board over its serial port"),
    "reload": ("codegen", "put another network of the same shape into a routed design, in seconds"),
    "faults": ("codegen", "flip bits of the weight memories at random and see what it costs"),
}
"""Each command with the package that has it and what it does."""

_ROOT = Path(__file__).resolve().parents[1]
_SCRIPT = "INTANDEM_SCRIPT"  # set in the environment if the user has typed `intandem`
_GOES_ON = "what was finished is kept, run the same command to go on"


def started_as(package: str) -> str:
    """What the user typed to start a package."""
    return "intandem" if os.environ.get(_SCRIPT) else f"python -m {package}"


def spelled(command: str, *words: str) -> str:
    """A command as the user can type it."""
    package, _ = COMMANDS[command]
    start = started_as(package)
    own = [] if package == command and start != "intandem" else [command]
    return " ".join([start, *own, *words])


def child(command: str, *words: str) -> list[str]:
    """The arguments of a process that runs a command of ours, whatever the working directory holds."""
    return [sys.executable, "-P", str(Path(__file__).resolve()), command, *words]


def run_child(command: str, *words: str) -> int:
    """Runs a command of ours in a process of its own, and returns its exit status."""
    return subprocess.run(child(command, *words), check=False).returncode


def guarded(command: Callable[[], int], interrupted: str = _GOES_ON) -> int:
    """Runs a command line: an error the user can fix, or one of the disk or the memory, is one message and
    status 2, Ctrl-C status 130 and ``interrupted``, a signal to end status 143, none of them a traceback."""
    from codegen.errors import UserError

    main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _end) if main_thread else None
    try:
        return command()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        what = f" '{error.filename}'" if error.filename else ""
        print(f"error: cannot read or write{what}: {error.strerror or error}", file=sys.stderr)
    except MemoryError:
        print("error: memory must suffice, and ran out; free some or raise its limit", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"interrupted; {interrupted}", file=sys.stderr)
        return 130
    finally:
        if main_thread:
            signal.signal(signal.SIGTERM, before)
    return 2


def _end(number: int, frame: FrameType | None) -> None:
    """Ends by an exception, so that all that is open is cleaned up."""
    raise SystemExit(128 + number)


def main() -> int:
    """The console script."""
    os.environ[_SCRIPT] = "1"
    return _start()


def _start() -> int:
    sys.path.insert(0, str(_ROOT))
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"intandem {_version()}")
        return 0
    if words[0] not in COMMANDS:
        from codegen.errors import did_you_mean, shown

        known, hint = ", ".join(COMMANDS), did_you_mean(words[0], COMMANDS)
        print(f"error: command must be one of {known}, not {shown(words[0])}{hint}", file=sys.stderr)
        return 2
    package, _ = COMMANDS[words[0]]
    sys.argv = [package, *words[package == words[0] :]]
    runpy.run_module(package, run_name="__main__", alter_sys=True)
    return 0


def _help() -> str:
    rows = "\n".join(f"  {command:<10} {what}" for command, (_, what) in COMMANDS.items())
    return (
        "usage: intandem COMMAND ...\n\n"
        "From PyTorch to bitstream, in integers.\n\n"
        f"{rows}\n\n"
        "intandem COMMAND --help explains one, intandem --version says which release this is.\n"
        "Start with: intandem sim digits_w4a4"
    )


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("intandem")
    except metadata.PackageNotFoundError:
        return "from a clone that is not installed"


if __name__ == "__main__":
    sys.exit(_start())
