"""YFCC100M's EXIF pack, lines per second: `python -m benchmarks.read_pack`.

- ours: `yfcc.read_pack`, which keeps one photograph in a hundred, about as many as FDF names;
- baseline: the published recipe, every line split into a dict in one process;
- ceiling: the same file read, or decompressed by the same library, and its line ends counted.

A line has 27 items here, or none, as every third; how long the real ones are was not known."""

import bz2
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

from benchmarks import harness
from pipeline.base import terminal
from pipeline.exif import yfcc
from pipeline.exif.tags import KNOWN

KEYS = [key for key, *_ in KNOWN.values()]
FIRST = 5_000_000_000  # number of the first photograph
ONE_IN = 100  # photographs that are kept
BODIES = 2_000  # different ones, so that the pack is quickly made
STREAM = 10_000  # lines compressed together
OTHER_ITEMS = 23


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    stage: str
    lines: int
    compressed: bool
    rounds: int


def cases(quick: bool) -> list[Case]:
    """A plain pack and a compressed one."""
    if quick:
        return [Case("read_pack", 600, False, 1), Case("read_pack_bz2", 600, True, 1)]
    return [Case("read_pack", 200_000, False, 5), Case("read_pack_bz2", 50_000, True, 3)]


def measure(quick: bool = False) -> list[harness.Row]:
    """Rows read_pack and read_pack_bz2."""
    return [compare(case) for case in cases(quick)]


def compare(case: Case) -> harness.Row:
    """One row: the ways in turn."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "pack"
        write(path, case.lines, case.compressed)
        wanted = [str(FIRST + i) for i in range(0, case.lines, ONE_IN)]
        once = timed(case.lines, lambda: len(yfcc.read_pack(path, wanted, KEYS)[0]))
        once()
        peak = harness.peak_memory_mb()
        ways = {
            "ours": once,
            "baseline": timed(case.lines, lambda: baseline(path, case.compressed)),
            "ceiling": timed(case.lines, lambda: ceiling(path)),
        }
        rates = harness.interleaved(ways, case.rounds)
        size = path.stat().st_size / case.lines
    note = f"{case.lines:,} lines, {size:,.0f} bytes each in the file"
    return harness.row(case.stage, "lines/s", **rates, peak_memory_mb=peak, note=note)


def write(path: Path, lines: int, compressed: bool) -> None:
    """A synthetic pack."""
    texts = bodies(random.Random(1))
    with path.open("wb") as file:
        for start in range(0, lines, STREAM):
            numbers = range(start, min(start + STREAM, lines))
            part = "".join(f"{FIRST + i}\t{texts[i % BODIES]}\n" for i in numbers).encode()
            file.write(bz2.compress(part) if compressed else part)


def bodies(random: random.Random) -> list[str]:
    """Items of BODIES photographs; every third has none."""
    found = []
    for i in range(BODIES):
        values = {
            "Exif SubIFD.Exposure Time": f"1/{random.choice((30, 60, 125, 500))} sec",
            "Exif SubIFD.Aperture Value": f"F{random.choice((2.8, 4.0, 5.6, 8.0))}",
            "Exif SubIFD.ISO Speed Ratings": str(random.choice((100, 200, 400, 1600))),
            "Exif SubIFD.Focal Length": f"{random.randrange(10, 200)}.0 mm",
        } | {
            f"Some Makernote.Unknown tag (0x{4 * n:04x})": f"{random.randrange(2**16)} {n}, {n}"
            for n in range(OTHER_ITEMS)
        }
        items = [
            ".".join(map(quote_plus, key.split("."))) + ":" + quote_plus(value)
            for key, value in values.items()
        ]
        found.append("" if i % 3 == 0 else ",".join(items))
    return found


def timed(lines: int, read: Callable[[], int]) -> Callable[[], float]:
    """Lines per second of a way to read them."""

    def once() -> float:
        begun = time.perf_counter()
        assert read() > 0
        return lines / (time.perf_counter() - begun)

    return once


def baseline(path: Path, compressed: bool) -> int:
    """The photographs with EXIF."""
    count = 0
    with bz2.open(path, "rt") if compressed else path.open() as file:
        for line in file:
            _, _, text = line.rstrip("\n").partition("\t")
            items = [item.split(":", 1) for item in text.split(",")] if text else []
            count += bool(dict(items))
    return count


def ceiling(path: Path) -> int:
    """The lines."""
    with yfcc.opened(path) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(yfcc.BLOCK), b""))


if __name__ == "__main__":
    terminal.run(lambda: harness.show(measure(quick="--quick" in sys.argv[1:])))
