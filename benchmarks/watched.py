"""A command run to its end, with the time that it took and the peak memory of all its processes
together.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

INTERVAL_S = 0.05


class Usage(NamedTuple):
    """What a command used. Memory is proportional: a page that several processes share counts once."""

    wall_s: float
    cpu_s: float  # of all its processes
    peak_memory_mb: float  # allocated and shared memory, which cannot be taken away
    peak_with_files_mb: (
        float  # and pages of mapped files, which the system drops when it needs them
    )
    status: int
    output: str


def run(
    command: Sequence[str], folder: Path, meanwhile: Callable[[], object] = lambda: None
) -> Usage:
    """Run a command in a folder, looking at its memory (Linux: /proc) every INTERVAL_S; `meanwhile`
    is called as often.
    """
    begun = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        output: list[str] = []
        reader = threading.Thread(
            target=lambda: output.append(process.stdout.read() if process.stdout else "")
        )
        reader.start()
        allocated = files = 0.0
        cpu: dict[
            int, float
        ] = {}  # of each process, as last seen: not all are waited for by their parent
        while process.poll() is None:
            tree = [process.pid, *descendants(process.pid)]
            now = memory_mb(tree)
            allocated, files = max(allocated, now[0]), max(files, now[1])
            cpu.update((pid, seconds) for pid in tree if (seconds := cpu_seconds(pid)) is not None)
            meanwhile()
            time.sleep(INTERVAL_S)
        reader.join()
    wall = time.perf_counter() - begun
    return Usage(wall, sum(cpu.values()), allocated, files, process.returncode, output[0])


def memory_mb(pids: Iterable[int]) -> tuple[float, float]:
    """Memory of these processes now: allocated and shared, and with mapped files."""
    allocated = files = 0.0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue  # it has just ended
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        allocated += kilobytes.get("Pss_Anon", 0) + kilobytes.get("Pss_Shmem", 0)
        files += kilobytes.get("Pss_File", 0)
    return allocated * 1024 / 1e6, (allocated + files) * 1024 / 1e6


def cpu_seconds(pid: int) -> float | None:
    """Processor time of a process so far, None if it has ended."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descendants(root: int) -> list[int]:
    """Process ids of children, their children and so on."""
    found: list[int] = []
    unseen = [root]
    while unseen:
        try:
            tasks = list(Path(f"/proc/{unseen.pop()}/task").iterdir())
            children = [
                int(word)
                for task in tasks
                for word in (task / "children").read_text(encoding="ascii").split()
            ]
        except OSError:
            continue  # it, or one of its threads, has just ended
        found += children
        unseen += children
    return found
