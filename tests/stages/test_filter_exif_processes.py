"""The stage in several processes: the same bytes, and none of them left behind."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from functools import partial
from pathlib import Path

import pytest

from pipeline.common.process_group import ProcessGroup
from pipeline.stages import filter_exif
from tests.stages.test_filter_exif import PARAMS, World, fill, run, spoil

BOUNDS = {
    "iso": (6, 409600),
    "f_number": (0.7, 64),
    "exposure_time_s": (0.00003125, 60),
    "focal_length_mm": (1, 2000),
}
SHORT_JOBS = """
from pipeline.base import console
from pipeline.stages import filter_exif
filter_exif.FACES_PER_JOB = 7
if __name__ == "__main__":
    console.run(filter_exif.main)
"""
SLEEPERS = """
import os, pathlib, time
from pipeline.stages import filter_exif

def sleep(job):
    pathlib.Path(f"started.{os.getpid()}").touch()
    time.sleep(600)

if __name__ == "__main__":
    list(filter_exif.in_order(sleep, [filter_exif.Job(0, []), filter_exif.Job(1, [])], 2))
"""


@pytest.fixture
def world(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    made = World(tmp_path / "sample")
    fill(made)
    spoil(made)
    made.save()
    return made


def files(folder):
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


class Alone(ProcessGroup):
    """One process of several, the others of which are not waited for."""

    def wait(self):
        pass


def test_every_process_makes_its_share_of_the_parts(world, monkeypatch, tmp_path):
    monkeypatch.setattr(filter_exif, "FACES_PER_JOB", 7)
    run()
    parts, joined = tmp_path / "parts", tmp_path / "joined"
    parts.mkdir()
    work = partial(filter_exif.pack, parts=parts, layout=world.layout, bounds=BOUNDS)
    reasons = Counter[str]()
    assert (
        list(filter_exif.make_parts(work, world.layout, reasons, Alone(2, 3))) == [] and not reasons
    )
    assert sorted(path.stem for path in parts.glob("*.npy")) == ["2", "5"]
    deque(filter_exif.make_parts(work, world.layout, Counter(), Alone(1, 3)), maxlen=0)
    done = filter_exif.make_parts(work, world.layout, reasons, Alone(0, 3))
    kept, refused = filter_exif.join(joined, parts, done, lambda group: "train")
    assert (kept, (reasons + refused).total()) == (40, 15) and reasons["photo_id_missing"] == 1
    assert not list(parts.iterdir())
    written, expected = files(joined), files("out/faces")
    assert (
        written["pixels-00000.npy"] == expected["pixels-00000.npy"]
        and len(written) == len(expected) == 2
    )


def test_neither_parts_nor_scratch_are_left(world):
    run()
    assert sorted(os.listdir("out")) == ["exif.json", "faces", "tags.csv"]


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_as_one(world, root):
    run()
    Path("stage.py").write_text(SHORT_JOBS)
    outs = [
        "--root",
        "sample",
        "--faces",
        "two/faces",
        "--metrics",
        "two/exif.json",
        "--tags",
        "two/tags.csv",
    ]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*torchrun, "stage.py", *outs], check=False, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert files("two") == files("out") and len(files("out")) == 4
    assert sorted(os.listdir("two")) == sorted(os.listdir("out"))
    assert done.stdout.count("faces kept and rejected") == 1


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="only Linux tells a process of its parent's death"
)
def test_no_worker_outlives_a_killed_stage(tmp_path, root):
    (tmp_path / "stage.py").write_text(SLEEPERS)
    stage = subprocess.Popen(
        [sys.executable, "stage.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}
    )
    try:
        wait_for(lambda: len(list(tmp_path.glob("started.*"))) == 2)
    finally:
        stage.send_signal(signal.SIGKILL)
        stage.wait()
    workers = [int(path.suffix[1:]) for path in tmp_path.glob("started.*")]
    wait_for(lambda: not any(running(pid) for pid in workers))
