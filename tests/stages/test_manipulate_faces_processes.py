"""The stage in several processes: the same bytes as one, an end in order when one fails, and
nothing left after a kill.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.common import artifacts, shards
from pipeline.common.names import LANDMARK_COLUMNS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
POINTS = np.array([64, 72, 52, 58, 76, 58, 38, 60, 90, 60, 10, 127, 118, 127], dtype=float)
SIDE = 64
PARAMS = "seed: 1\nmanipulation: {source: generate, warp_sigma: [0.04, 0.05], blend_ratios: [0.75, 1, 1, 1]}\n"


def prepare(folder: Path, n: int) -> None:
    random = np.random.default_rng(5)
    (folder / "params.yaml").write_text(PARAMS)
    writer = shards.ShardWriter(folder / "faces", (SIDE, SIDE, 3), pictures_per_shard=500)
    writer.append(random.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8))
    writer.close()
    points = POINTS / 2 + random.normal(0, 1, (n, 14))
    points[::7] = np.nan
    landmarks = folder / "sample/SSL_training_data/FDF/data/fdf/landmarks"
    landmarks.mkdir(parents=True)
    for i in range(0, n, 50):
        np.save(landmarks / f"f{i}.npy", random.uniform(10, 50, (68, 2)))
    columns = {"face_id": [f"f{i}" for i in range(n)], "row": range(n)} | dict(
        zip(LANDMARK_COLUMNS, points.T, strict=True)
    )
    artifacts.write_table(folder / "faces/faces.parquet", pd.DataFrame(columns))


def start(folder: Path, out: str, processes: int, workers: int = 1) -> subprocess.Popen[bytes]:
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        if processes > 1
        else []
    )
    stage = [
        "-m",
        "pipeline.stages.manipulate_faces",
        "--faces=faces",
        "--root=sample",
        f"--output={out}",
    ]
    command = [sys.executable, *launcher, *stage, f"--metrics={out}.json", f"--sheet={out}.png"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PIPELINE_WORKERS": str(workers)}
    return subprocess.Popen(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def run(folder: Path, out: str, processes: int) -> str:
    stage = start(folder, out, processes)
    output = stage.communicate(timeout=300)[0].decode()
    assert stage.returncode == 0, output
    return output


def contents(folder: Path, out: str) -> dict[str, bytes]:
    files = [*(folder / out).iterdir(), folder / f"{out}.json", folder / f"{out}.png"]
    return {path.name.replace(out, ""): path.read_bytes() for path in files}


@pytest.mark.parametrize(("faces", "processes"), [(2100, 2), (130, 3), (60, 3), (0, 2)])
def test_several_processes_give_the_bytes_of_one(tmp_path, faces, processes):
    prepare(tmp_path, faces)
    said = [run(tmp_path, "one", 1), run(tmp_path, "several", processes)]
    one, several = contents(tmp_path, "one"), contents(tmp_path, "several")
    assert sorted(one) == sorted(several) and len(one) == 3 + max(1, -(-4 * faces // 4096))
    assert [name for name in one if one[name] != several[name]] == []
    assert said[0].splitlines()[-1] in said[1], "the first process alone reports"
    assert said[1].count("Manipulated faces") == said[0].count("Manipulated faces") == 1


def test_when_one_process_dies_all_end_and_nothing_is_written(tmp_path):
    prepare(tmp_path, 4000)
    stage = start(tmp_path, "out", 2)
    victim = wait_for(
        lambda: [pid for pid in stages_below(stage.pid) if environment(pid).get("RANK") == "1"]
    )[0]
    wait_for(lambda: list(tmp_path.glob(".out.*.partial/out/pixels-*")))
    os.kill(victim, 9)
    output = stage.communicate(timeout=60)[0].decode()
    assert stage.returncode != 0 and "Manipulated faces" not in output
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob("out.*"))


@pytest.mark.parametrize("number", [9, 15])
def test_nothing_survives_a_kill_of_the_stage(tmp_path, number):
    prepare(tmp_path, 4000)
    stage = start(tmp_path, "out", 1, workers=2)
    wait_for(lambda: list(tmp_path.glob(".out.*.partial/out/pixels-*")))
    family = descendants(stage.pid)
    assert len(family) >= 3, "fork server and two workers"
    os.kill(stage.pid, number)
    stage.communicate(timeout=60)
    wait_for(lambda: not any(is_alive(pid) for pid in family), seconds=3)
    assert not (tmp_path / "out").exists()
    if number == 15:
        assert not list(tmp_path.glob(".out.*"))
    run(tmp_path, "out", 1)
    assert not list(tmp_path.glob(".out.*")) and len(shards.read_shards(tmp_path / "out")) == 16000


def wait_for(condition, seconds: float = 60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found


def parents() -> dict[int, int]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def is_alive(pid: int) -> bool:
    return pid in parents()


def descendants(pid: int) -> set[int]:
    family, tree = {pid}, parents()
    while more := {child for child, parent in tree.items() if parent in family} - family:
        family |= more
    return family - {pid}


def environment(pid: int) -> dict[str, str]:
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(part.split("=", 1) for part in text.split("\0") if "=" in part)


def stages_below(pid: int) -> list[int]:
    return [child for child in descendants(pid) if parents().get(child) == pid]
