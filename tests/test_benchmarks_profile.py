"""Time and memory of commands, generated folders of any size, and the profile of a project's
stages.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import profile, synthetic, watched
from pipeline.base.errors import PipelineError
from pipeline.base.params import load
from pipeline.common.pictures import read_picture
from pipeline.exif import tags as exif
from pipeline.exif.records import iterate_faces, read_exif, read_mapping
from pipeline.face_sets.listing import read_list

# ---------------------------------------------------------------- a command watched


def test_a_watched_commands_memory_and_time_are_those_of_all_its_processes(tmp_path):
    child = (
        "import time; b = bytearray(100_000_000); b[::4096] = bytes(len(b[::4096])); time.sleep(1)"
    )
    code = f"import subprocess, sys; [p.wait() for p in [subprocess.Popen([sys.executable, '-c', '{child}']) for _ in 'ab']]"
    usage = watched.run([sys.executable, "-c", code], tmp_path)
    assert usage.status == 0
    assert 200 < usage.peak_memory_mb < 300
    assert usage.peak_memory_mb <= usage.peak_with_files_mb
    assert usage.wall_s >= 1


def test_processor_time_is_not_wall_time(tmp_path):
    busy = "import time\nwhile time.process_time() < 0.6: pass\ntime.sleep(0.5)"
    usage = watched.run([sys.executable, "-c", busy], tmp_path)
    assert 0.5 < usage.cpu_s < 0.9
    assert usage.wall_s > 1.1


def test_a_failed_command_gives_its_status_and_what_it_said(tmp_path):
    usage = watched.run([sys.executable, "-c", "print('so far'); raise SystemExit(3)"], tmp_path)
    assert (usage.status, usage.output) == (3, "so far\n")


def test_descendants_are_children_and_theirs():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while len(found := watched.descendants(process.pid)) < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(found) == 1
        assert process.pid in watched.descendants(os.getpid())
        process.communicate(b"\n")
    assert watched.cpu_seconds(process.pid) is None


# ---------------------------------------------------------------- generated folders and the profile


def test_a_generated_folder_is_what_the_pipeline_reads(tmp_path):
    layout = synthetic.pretext(tmp_path, 230)
    faces = [face for face, _ in iterate_faces(layout.metainfo)]
    assert [face and face.face_id for face in faces] == [str(i) for i in range(230)]
    assert len(set(read_mapping(layout.mapping).values())) == 115
    bounds = load("exif").exif.model_dump()
    reasons = [
        exif.parse_tags(read_exif(layout.exif / f"{photo}.json")[0] or {}, bounds)[1]
        for photo in range(115)
    ]
    assert [photo for photo, reason in enumerate(reasons) if reason] == [1, 51, 101]


def test_many_faces_are_few_pictures_on_disk(tmp_path):
    layout = synthetic.pretext(tmp_path, 200)
    pictures = [read_picture(layout.images / f"{i}.png") for i in range(200)]
    assert np.array_equal(pictures[0], pictures[synthetic.PICTURES])
    assert not np.array_equal(pictures[0], pictures[1])
    assert sum(not path.is_symlink() for path in layout.images.iterdir()) == synthetic.PICTURES


def test_generated_portraits_are_all_in_the_list(tmp_path):
    synthetic.portraits(tmp_path, 70)
    names = read_list(tmp_path / "data/train.txt", tmp_path)
    assert len(names) == 70
    assert read_picture(tmp_path / names[-1]).shape == (synthetic.SIDE, synthetic.SIDE, 3)


def test_a_complete_shards_pixels_leave_the_disk_and_its_header_stays(tmp_path):
    path = tmp_path / "faces" / "pixels-00000.npy"
    path.parent.mkdir()
    np.save(path, np.full((100, 128, 128, 3), 7, np.uint8))
    before = path.stat()
    punch = profile.hole_puncher(tmp_path)
    punch()
    assert path.stat().st_blocks == before.st_blocks  # it may still be written to
    os.utime(path, (time.time() - 60, time.time() - 60))
    punch()
    after = path.stat()
    assert after.st_size == before.st_size
    assert after.st_blocks < before.st_blocks / 10
    assert np.load(path, mmap_mode="r").shape == (100, 128, 128, 3)


@pytest.fixture
def project(tmp_path):
    """A project of two stages."""
    folder = tmp_path / "source"
    (folder / "data").mkdir(parents=True)
    (folder / "data/old").write_text("not to be copied")
    (folder / "dvc.yaml").write_text(
        "stages:\n"
        "  after: {cmd: 'sleep 0.1; cat data/a > data/b', deps: [data/a], outs: [data/b]}\n"
        "  before: {cmd: 'sleep 0.1; echo ${data.root} > data/a', outs: [data/a]}\n"
    )
    return folder


def test_every_stage_runs_after_what_it_needs_in_a_copy(project):
    rows = list(profile.profile_sample(project, {"data": {"root": "here"}}))
    assert [one["stage"] for one in rows] == ["before", "after"]
    assert all(one["wall_s"] > 0 for one in rows)
    assert sorted(path.name for path in (project / "data").iterdir()) == ["old"]


def test_the_copy_has_the_parameters_and_no_data(project, tmp_path):
    folder = profile.copied(project, tmp_path / "copy", {"data": {"root": "there"}, "rate": 1e-6})
    assert profile.commands(folder)["before"] == "sleep 0.1; echo there > data/a"
    assert list((folder / "data").iterdir()) == []


def test_a_stage_that_fails_shows_its_output(tmp_path):
    with pytest.raises(PipelineError, match=r"(?s)train: exit status 4.*no disk"):
        profile.measured("train", "echo no disk; exit 4", tmp_path)


def test_the_scaled_stages_are_stages_of_the_project():
    parameters = profile.read_yaml(Path("params.yaml"))
    for section, values in profile.SCALE.items():
        assert values.keys() <= parameters[section].keys()
