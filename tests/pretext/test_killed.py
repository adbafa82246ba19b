"""What may happen to a saved state: damage, a full disk, a second run beside the first, other
parameters, data or code.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small_runs import ARGUMENTS, OUTS, SmallRepository, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Iterator[SmallRepository]:
    """Inputs, and no run yet."""
    folder = tmp_path_factory.mktemp("states")
    yield SmallRepository.make(folder / "template")
    shutil.rmtree(folder)  # states are large


@pytest.fixture(scope="module")
def undisturbed(template) -> dict[str, bytes]:
    """The outs of a run from start to end."""
    repository = template.copy(template.folder.parent / "undisturbed")
    code, output = repository.run()
    assert code == 0 and sorted(repository.outs()) == sorted(OUTS), output
    return repository.outs()


@pytest.fixture(scope="module")
def halfway(template) -> SmallRepository:
    """A run that was killed when it had kept two states."""
    repository = template.copy(template.folder.parent / "halfway")
    with repository.running() as trainer:
        wait_until(
            lambda: len(repository.events("saved")) >= 3 and len(repository.events("step")) > 6,
            "the third state",
        )
        trainer.kill()
    for state in repository.states()[:-2]:  # killed before it had removed the oldest
        state.unlink()
    assert len(repository.states()) == 2 and repository.outs() == {}
    return repository


@pytest.fixture
def run(halfway) -> Iterator[SmallRepository]:
    """A copy of the halfway run for one test."""
    repository = halfway.copy(halfway.folder.parent / "run")
    yield repository
    shutil.rmtree(repository.folder)


def finish(repository: SmallRepository, undisturbed: dict[str, bytes]) -> str:
    """Train to the end, to the same bytes; what was printed."""
    code, output = repository.run()
    assert code == 0, output
    assert repository.outs() == undisturbed and repository.states() == []
    return output


def place_of(state: Path) -> tuple[int, int]:
    epoch, step = state.name.split(".")[0].split("-")
    return int(epoch), int(step)


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize("damage", [flip, truncate])
def test_a_damaged_state_is_named_and_the_one_before_it_used(run, undisturbed, damage):
    older, newest = run.states()
    newest.write_bytes(damage(newest.read_bytes()))
    output = finish(run, undisturbed)
    assert "warning" in output and newest.name in output
    assert run.went_on_from() == place_of(older)


def test_with_all_states_damaged_training_starts_afresh(run, undisturbed):
    for state in run.states():
        state.write_bytes(flip(state.read_bytes()))
    output = finish(run, undisturbed)
    assert output.count("warning") == 2 and run.went_on_from() is None


def limit_files() -> None:
    """No file over 30 MB, as on a disk that is nearly full: a state of this encoder has 59."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000_000, 30_000_000))


def test_a_file_that_cannot_grow_stops_with_path_and_remedy_and_later_goes_on(run, undisturbed):
    before = run.states()
    code, output = run.run(preexec_fn=limit_files)
    assert code == 1 and "Traceback" not in output
    assert "models/.resume/" in output and "make room" in output and "run again" in output
    assert run.states() == before
    finish(run, undisturbed)
    assert run.went_on_from() == place_of(before[-1])


def test_a_full_disk_stops_with_path_and_remedy_and_room_lets_it_go_on(run, undisturbed):
    states, moved = run.folder / "models/.resume", run.folder / "moved"
    shutil.move(states, moved)
    states.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", states],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        shutil.copytree(moved, states, dirs_exist_ok=True)
        kept = run.states()
        code, output = run.run()
        assert (
            code == 1
            and "Traceback" not in output
            and "models/.resume/" in output
            and "make room" in output
        ), output
        assert run.states() == kept
        subprocess.run(["mount", "-o", "remount,size=400m", states], check=True)
        finish(run, undisturbed)
        assert run.went_on_from() == place_of(kept[-1])
    finally:
        subprocess.run(["umount", states], check=True)


def test_a_second_run_is_told_who_is_at_work(run):
    with run.running() as first:
        wait_until(lambda: run.events("begin"), "the first run's training")
        os.kill(first.pid, signal.SIGSTOP)  # it takes its time
        command = [sys.executable, "-m", "pipeline.stages.train_pretext", *ARGUMENTS.split()]
        second = subprocess.run(
            command,
            cwd=run.folder,
            env=run.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 1 and "Traceback" not in second.stderr
        assert f"process {first.pid} " in second.stderr and "models/.resume" in second.stderr
        assert first.poll() is None


# --- what makes a state another run's


def new_rate(repository: SmallRepository) -> None:
    repository.replace("params.yaml", "learning_rate: ", "0.002")


def new_pixel(repository: SmallRepository) -> None:
    path = next((repository.folder / "faces").glob("pixels-*.npy"))
    path.write_bytes(flip(path.read_bytes()))


def new_line_in_stage(repository: SmallRepository) -> None:
    with (repository.folder / "pipeline/stages/train_pretext.py").open("a") as file:
        file.write("\n# changed\n")


def new_line_in_loss(repository: SmallRepository) -> None:
    with (repository.folder / "pipeline/pretext/losses.py").open("a") as file:
        file.write("\n# changed\n")


@pytest.mark.parametrize("change", [new_rate, new_pixel, new_line_in_stage, new_line_in_loss])
def test_other_parameters_data_or_code_start_afresh(run, change):
    change(run)
    kept = run.states()
    with run.running():
        wait_until(lambda: run.events("step"), "the first step")
        assert run.went_on_from() is None
    assert set(kept) <= set(run.states()), "whoever takes the change back goes on"


def test_a_change_taken_back_goes_on(run, undisturbed):
    place = place_of(run.states()[-1])
    new_rate(run)
    with run.running():
        wait_until(lambda: run.events("saved"), "a state of the other run")
    run.replace("params.yaml", "learning_rate: ", "0.001")
    code, output = run.run()
    assert code == 0 and run.went_on_from() == place, output
    assert run.outs() == undisturbed
