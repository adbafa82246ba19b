import contextlib
import errno
import hashlib
import os
import subprocess
import sys

import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.pretext import resume
from pipeline.pretext.resume import Store


def states(store):
    return sorted(path.name.split(".")[0] for path in store.folder.glob("*.state"))


def test_the_newest_state_is_read_back_and_two_are_kept(tmp_path):
    store = Store(tmp_path, "run")
    assert store.newest() is None
    for step in (1, 2, 10):
        store.save((0, step), b"state %d" % step)
    assert states(store) == ["00000000-00000002", "00000000-00000010"]
    store.save((1, 0), b"next epoch")
    assert Store(tmp_path, "run").newest() == b"next epoch"
    assert Store(tmp_path, "another run").newest() is None


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-1], lambda content: b"?" + content[1:], lambda content: b""],
)
def test_a_damaged_state_is_reported_and_the_one_before_it_used(tmp_path, capsys, damage):
    store = Store(tmp_path, "run")
    store.save((0, 1), b"first")
    store.save((0, 2), b"second")
    newest = max(store.folder.glob("*.state"))
    newest.write_bytes(damage(newest.read_bytes()))
    assert store.newest() == b"first"
    assert f"{newest} is damaged" in capsys.readouterr().err and not newest.exists()
    store.save((0, 2), b"second")
    assert store.newest() == b"second"


def test_a_state_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    store = Store(tmp_path, "run")
    store.save((0, 1), b"first")

    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(artifacts, "atomic", full)
    with pytest.raises(
        PipelineError,
        match=r"\.state: .*No space left.*the one before it is kept: make room for 2 MB",
    ):
        store.save((0, 2), b"x" * 2_000_000)
    assert store.newest() == b"first"


def test_saving_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(resume.time, "monotonic", lambda: clock[0])
    store = Store(tmp_path, "run")
    clock[0] = resume.INTERVAL - 1
    assert not store.due()
    clock[0] += 1
    assert store.due()

    @contextlib.contextmanager
    def slow(path):
        clock[0] += 5
        yield path

    monkeypatch.setattr(artifacts, "atomic", slow)
    store.save((0, 1), b"state")
    assert store.pause == pytest.approx(5 / resume.SHARE) and not store.due()


def test_a_complete_run_forgets_its_states_and_the_oldest_of_others(tmp_path):
    for number in range(5):
        other = Store(tmp_path, f"other {number}")
        other.save((0, 1), b"state")
        os.utime(other.folder, (number, number))
    store = Store(tmp_path, "run")
    store.save((0, 1), b"state")
    store.clear()
    store.clear()  # a run that never saved a state has nothing to forget
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other 2", "other 3", "other 4"]


# --- the lock


HOLD = """
import sys
from pathlib import Path
from pipeline import resume
with resume.lock(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def test_a_second_run_is_told_who_holds_the_lock_until_that_one_is_dead(tmp_path, root):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "states")]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        told = f"another run holds the lock, process {holder.pid} on .* since 20"
        with pytest.raises(PipelineError, match=told), resume.lock(tmp_path / "states"):
            pass
        holder.kill()
        holder.wait()
        with resume.lock(tmp_path / "states"):
            assert (tmp_path / "states/lock").read_text().startswith(f"process {os.getpid()} on ")
    with resume.lock(tmp_path / "states"):
        pass


# --- the fingerprint


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "folder/below").mkdir(parents=True)
    (tmp_path / "folder/below/a").write_text("1")
    (tmp_path / "table").write_text("2")
    return [tmp_path / "folder", tmp_path / "table"]


def test_the_fingerprint_depends_on_settings_data_and_code_alone(inputs, monkeypatch):
    settings = {"rate": 1e-3, "seed": 1}
    first = resume.fingerprint(settings, inputs)
    os.utime(inputs[1], (1, 1))
    assert resume.fingerprint(dict(reversed(settings.items())), inputs) == first
    assert resume.fingerprint({**settings, "rate": 2e-3}, inputs) != first
    assert resume.fingerprint(settings, inputs[:1]) != first
    (inputs[0] / "below/a").write_text("3")
    changed = resume.fingerprint(settings, inputs)
    assert changed != first
    monkeypatch.setattr(resume, "hash_code", lambda: {"pipeline.pretext.training": "edited"})
    assert resume.fingerprint(settings, inputs) != changed


def test_the_code_of_every_loaded_module_counts(root):
    code = resume.hash_code()
    assert {"pipeline.pretext.resume", "pipeline.common.artifacts", "pipeline.base.errors"} <= set(
        code
    )
    assert (
        code["pipeline.base.errors"]
        == hashlib.sha256((root / "pipeline/base/errors.py").read_bytes()).hexdigest()
    )
