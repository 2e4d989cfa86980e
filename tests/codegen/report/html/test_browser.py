"""The page in a real browser: it says nothing on the console, fetches nothing, and fits a phone."""

import json
import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import pytest

from tests.networks import digits

from ..reports import html, placed, report_of, simulated
from .document import read

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars",
         "--host-resolver-rules=MAP * ~NOTFOUND",
         "--enable-logging=stderr", "--log-level=0", "--virtual-time-budget=2000")  # fmt: skip
PICTURE = "<img src='http://127.0.0.1:9/a.png' alt=''>"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is on PATH")
    return found


@pytest.fixture(scope="module")
def page() -> str:
    return html(placed(simulated(report_of(digits(), 80))))


def browse(chromium: str, path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Opens a file; asserts that the browser ended well."""
    profile = f"--user-data-dir={path.parent / 'profile'}"
    arguments = [chromium, *QUIET, profile, f"--log-net-log={path.parent / 'net.json'}", *more, path.as_uri()]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


def console(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def requested(folder: Path) -> list[str]:
    """The addresses on a network that the page asked for; those of the browser itself have no origin."""
    told = [event.get("params", {}) for event in json.loads((folder / "net.json").read_text())["events"]]
    urls = {one["url"] for one in told if one.get("initiator", "not an origin") != "not an origin"}
    return sorted(url for url in urls if not url.startswith("file:"))


def test_it_opens_without_a_word_or_a_request(chromium: str, page: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page)
    done = browse(chromium, tmp_path / "report.html", "--dump-dom")
    assert console(done) == [] and requested(tmp_path) == []
    shown = read(done.stdout)
    totals = {box.one("dt").text: box.all("dd")[0].text for box in shown.one("dl").all("div")}
    assert totals["values compared"] == "37,123" and totals["MACs an image"] == "21,664"
    assert [cell for cell in shown.all("table")[0].rows()[-1] if cell] == [
        "accelerator", "76", "1,289", "288", "0.990", "10,304",
    ]  # fmt: skip


@pytest.mark.parametrize("outside", [PICTURE, "<script>1</script>"])
def test_what_the_page_forbids_itself_is_heard(
    outside: str, chromium: str, page: str, tmp_path: Path
) -> None:
    """The bench can fail: a page that fetches or runs anything says so on the console."""
    (tmp_path / "report.html").write_text(page.replace("</main>", f"{outside}</main>"))
    said = console(browse(chromium, tmp_path / "report.html", "--dump-dom"))
    assert len(said) == 1 and "Content Security Policy" in said[0]
    assert requested(tmp_path) == []


def test_a_request_is_seen(chromium: str, page: str, tmp_path: Path) -> None:
    """The bench can fail: without its policy a page would fetch."""
    free = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    (tmp_path / "report.html").write_text(free.replace("</main>", f"{PICTURE}</main>"))
    browse(chromium, tmp_path / "report.html", "--dump-dom")
    assert requested(tmp_path) == ["http://127.0.0.1:9/a.png"]


@pytest.mark.parametrize("width", [320, 390, 800])
def test_nothing_is_wider_than_the_window(width: int, chromium: str, page: str, tmp_path: Path) -> None:
    """In a frame, as a window of a browser has a least width."""
    frame = f'<iframe width="{width}" height="900" srcdoc="{escape(page)}"></iframe>'
    script = (
        "onload = () => { const inner = frames[0].document.documentElement;"
        " document.title = `${inner.clientWidth} ${inner.scrollWidth}` }"
    )
    (tmp_path / "frame.html").write_text(f"<!DOCTYPE html><title></title>{frame}<script>{script}</script>")
    shown = browse(chromium, tmp_path / "frame.html", "--window-size=1000,1000", "--dump-dom").stdout
    found = re.search(r"<title>(\d+) (\d+)</title>", shown)
    assert found is not None, shown[:500]
    assert int(found[1]) == int(found[2]) == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_or_dark_as_the_browser_is(scheme: str, chromium: str, page: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page)
    picture = tmp_path / f"{scheme}.png"
    preferred = f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"
    browse(chromium, tmp_path / "report.html", preferred, f"--screenshot={picture}", "--window-size=1280,900")
    image = pytest.importorskip("PIL.Image").open(picture).convert("L")
    assert image.size == (1280, 900)
    assert (image.getpixel((5, 5)) > 128) == (scheme == "light")
