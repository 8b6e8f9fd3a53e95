"""Shows that charts and episodes become pictures with something in them.

    python3 tests/studies/pictures.py PROGRAM

PROGRAM is a `ddn-train`.
"""

import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

PROGRAM = sys.argv[1]
TOP = pathlib.Path(__file__).resolve().parents[2]


def run(*arguments: str) -> None:
    result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"ddn-train {' '.join(arguments)} ended with {result.returncode}: {result.stderr}")


def colours_of_png(path: pathlib.Path) -> "tuple[int, int, int]":
    """Width, height, and how many different lines of pixels there are."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", path
    at, pixels = 8, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data, at + 8)
        if kind == b"IDAT":
            pixels += data[at + 8 : at + 8 + length]
        at += 12 + length
    pixels = zlib.decompress(pixels)
    row = len(pixels) // height
    return width, height, len({pixels[k * row : (k + 1) * row] for k in range(height)})


def frames_of_gif(path: pathlib.Path) -> "tuple[int, int, int]":
    """Width, height, frames."""
    data = path.read_bytes()
    assert data[:6] == b"GIF89a" and data[-1:] == b";", path
    width, height, packed = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
    frames = 0
    while data[at : at + 1] != b";":
        if data[at : at + 1] == b"!":
            at += 2
        else:
            assert data[at : at + 1] == b",", (path, at)
            local = data[at + 9]
            at += 11 + (3 << (local & 7) + 1 if local & 0x80 else 0)
            frames += 1
        while data[at]:
            at += data[at] + 1
        at += 1
    return width, height, frames


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ddn-pictures-") as place:
        folder = pathlib.Path(place)
        quick = str(TOP / "trainer/configs/quickstart.toml")
        less = ["--set", "t_max=2000", "--set", "compare.plain=false", "--set", "eval.final_episodes=4"]
        run("train", quick, "--out", str(folder / "run"), *less)
        run("report", str(folder / "run"), "--png", str(folder / "charts"))
        (chart,) = (folder / "charts").iterdir()
        width, height, lines = colours_of_png(chart)
        assert (width, height) == (1600, 880) and lines > 100, (chart, width, height, lines)
        print(f"chart: {width} x {height} pixels, {lines} different lines, {chart.stat().st_size} bytes")
        for name, what in [
            ("predator-prey", [str(folder / "run")]),
            ("combat", [str(TOP / "trainer/configs/combat_MMM2.toml"), "--policy", "focus"]),
        ]:
            path = folder / f"{name}.gif"
            run("play", *what, "--gif", str(path))
            width, height, frames = frames_of_gif(path)
            assert width >= 200 and height > 100 and frames > 10, (path, width, height, frames)
            print(f"{name}: {width} x {height} pixels, {frames} frames, {path.stat().st_size} bytes")


main()
