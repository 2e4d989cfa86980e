"""Picture files as images and codes: what becomes of them, and what is refused."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codegen.errors import UserError
from codegen.pictures import FORMATS, SUFFIXES, Fit, decoded, is_picture, middle, to_codes, without_warnings

GREY = Fit(6, 6, 1)
COLOUR = Fit(6, 6, 3)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with without_warnings():
        yield


def noise(rows: int, columns: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8))


def content(picture: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int = 1, mode: int = 0) -> bytes:
    """A picture that says it is this large."""
    header = struct.pack(">IIBBBBB", width, height, depth, mode, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def refused(path: Path, fit: Fit = GREY) -> str:
    with pytest.raises(UserError) as error:
        decoded(path, fit)
    return str(error.value)


@pytest.mark.parametrize(("rows", "columns"), [(6, 11), (9, 6), (6, 6)])
def test_pixels_stay_where_the_picture_fits(rows: int, columns: int, tmp_path: Path) -> None:
    picture = noise(rows, columns)
    picture.save(tmp_path / "a.png")
    top, left = (rows - 6) // 2, (columns - 6) // 2
    expected = np.asarray(picture)[top : top + 6, left : left + 6]
    assert np.array_equal(decoded(tmp_path / "a.png", COLOUR), expected)


@pytest.mark.parametrize(("rows", "columns"), [(4, 8), (8, 4), (5, 5), (1, 7)])
def test_an_image_need_not_be_square(rows: int, columns: int, tmp_path: Path) -> None:
    """The largest middle part of its shape is scaled, so nothing is stretched."""
    picture = noise(60, 60)
    picture.save(tmp_path / "a.png")
    across, down = min(60, 60 * columns / rows), min(60, 60 * rows / columns)
    box = ((60 - across) / 2, (60 - down) / 2, (60 + across) / 2, (60 + down) / 2)
    expected = np.asarray(picture.resize((columns, rows), Image.Resampling.BICUBIC, box=box))
    assert np.array_equal(decoded(tmp_path / "a.png", Fit(rows, columns, 3)), expected)


def test_with_a_side_the_middle_is_cut_out_of_the_scaled_picture(tmp_path: Path) -> None:
    picture = noise(40, 60)
    picture.save(tmp_path / "a.png")
    whole = np.asarray(picture.resize((16, 16), Image.Resampling.BICUBIC, box=(10, 0, 50, 40)))
    cut = decoded(tmp_path / "a.png", Fit(12, 13, 3, side=16))
    assert np.array_equal(cut, whole[2:14, 1:14]) and np.array_equal(cut, middle(whole, 12, 13))


@pytest.mark.parametrize("high", [1, 3, 15, 127, 255])
def test_levels_become_the_nearest_codes(high: int) -> None:
    codes = to_codes(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), high)
    assert (codes.shape, codes.dtype) == ((1, 16, 16, 1), np.uint8)
    for level, code in enumerate(codes.ravel().tolist()):
        assert abs(255 * code - high * level) <= 127, (level, code)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_that_is_listed_is_read(kind: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(content(noise(6, 6), kind))
    with Image.open(path) as picture:
        expected = np.asarray(picture.convert("RGB" if channels == 3 else "L")).reshape(6, 6, channels)
    assert np.array_equal(decoded(path, Fit(6, 6, channels)), expected)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "WEBP", "ICO", "ICNS", "DDS", "PPM", "TGA", "PCX"])
def test_other_formats_are_refused(kind: str, tmp_path: Path) -> None:
    """Pillow reads dozens, some with decoders that take seconds or raise anything: nobody trains on them."""
    path = tmp_path / "picture.png"
    path.write_bytes(content(noise(32, 32), kind))
    assert refused(path) == (
        f"'{path}' must be a whole PNG or JPEG picture, but: it is neither; remove it or save it anew"
    )


@pytest.mark.parametrize(("depth", "mode"), [(16, 0), (16, 2), (16, 4), (16, 6)])
def test_more_than_8_bits_are_refused_not_clipped(depth: int, mode: int, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(9, 9, depth, mode))
    assert "it has more than 8 bits a channel" in refused(tmp_path / "a.png")


def test_a_deep_grey_picture_of_pillow_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((6, 6), 300, np.uint16)).save(tmp_path / "a.png")
    assert "it has more than 8 bits a channel" in refused(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("width", "height", "said"), [(13_000, 13_000, "169,000,000 pixels"), (60_000, 60_000, "pixels")]
)
def test_a_picture_of_too_many_pixels_takes_no_memory(
    width: int, height: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(png(width, height))
    tracemalloc.start()
    try:
        assert said in refused(tmp_path / "a.png")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_jpeg_of_countless_scans_is_refused_and_such_bytes_in_a_png_are_none(tmp_path: Path) -> None:
    many = b"\xff\xda" * 101
    (tmp_path / "a.jpg").write_bytes(content(noise(6, 6), "JPEG") + many)
    assert "it has more than 100 scans" in refused(tmp_path / "a.jpg")
    whole = content(noise(6, 6), "PNG")
    (tmp_path / "a.png").write_bytes(whole[:-12] + chunk(b"prVt", many) + whole[-12:])
    assert np.array_equal(decoded(tmp_path / "a.png", COLOUR), np.asarray(noise(6, 6)))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate((1 << 26) + 1)
    assert "67,108,864 bytes" in refused(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_are_pictures_by_their_names(suffix: str, tmp_path: Path) -> None:
    for name in (f"a{suffix}", f"b{suffix.upper()}", "c.gif", "network.safetensors"):
        (tmp_path / name).touch()
    assert is_picture(tmp_path / f"a{suffix}") and is_picture(tmp_path / f"b{suffix.upper()}")
    others = ("c.gif", "network.safetensors", f"missing{suffix}", ".")
    assert not any(is_picture(tmp_path / name) for name in others)
