"""What may happen to the checkpoint of a killed run: damage, a full disk, a second run beside the
first, other parameters, data or code. Kills at random moments: tests/test_kills.py.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.small_runs import ARGUMENTS, OUTS, SmallRepository, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Iterator[SmallRepository]:
    """Inputs, and no run yet."""
    folder = tmp_path_factory.mktemp("killed")
    yield SmallRepository.make(folder / "template")
    shutil.rmtree(folder)  # checkpoints are large


@pytest.fixture(scope="module")
def undisturbed(template) -> dict[str, bytes]:
    """The outs of a run from start to end."""
    repository = template.copy(template.folder.parent / "undisturbed")
    code, output = repository.run()
    assert code == 0 and sorted(repository.outs()) == sorted(OUTS), output
    return repository.outs()


@pytest.fixture(scope="module")
def halfway(template) -> SmallRepository:
    """A run that was killed in its second epoch."""
    repository = template.copy(template.folder.parent / "halfway")
    with repository.running() as trainer:
        wait_until(lambda: len(repository.events("saved")) >= 3, "the third checkpoint")
        wait_until(lambda: len(repository.events("step")) > 6, "the second epoch")
        trainer.kill()
    assert repository.checkpoint.exists() and repository.outs() == {}
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
    assert repository.outs() == undisturbed and not repository.checkpoint.exists()
    return output


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_a_killed_run_resumes_to_the_same_bytes(run, undisturbed):
    finish(run, undisturbed)
    assert run.resumed_from() > (0, 0)


def test_with_a_damaged_checkpoint_training_starts_afresh(run, undisturbed):
    run.checkpoint.write_bytes(flip(run.checkpoint.read_bytes()))
    assert "is damaged" in finish(run, undisturbed) and run.resumed_from() is None


def limit_files() -> None:
    """No file over 30 MB, as on a disk that is nearly full: a checkpoint of this encoder has 59."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000_000, 30_000_000))


def test_a_file_that_cannot_grow_stops_with_path_and_remedy_and_later_resumes(run, undisturbed):
    before = run.checkpoint.read_bytes()
    code, output = run.run(preexec_fn=limit_files)
    assert code == 1 and "Traceback" not in output
    assert "models/.resume/" in output and "make room" in output and "run again" in output
    assert run.checkpoint.read_bytes() == before
    finish(run, undisturbed)
    assert run.resumed_from() is not None


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


def new_rate(repository: SmallRepository) -> None:
    repository.replace("params.yaml", "learning_rate: ", "0.002")


def new_pixel(repository: SmallRepository) -> None:
    path = next((repository.folder / "faces").glob("pixels-*.npy"))
    path.write_bytes(flip(path.read_bytes()))


def new_code(repository: SmallRepository) -> None:
    with (repository.folder / "pipeline/pretext/losses.py").open("a") as file:
        file.write("\nCHANGED = True\n")


@pytest.mark.parametrize("change", [new_rate, new_pixel, new_code])
def test_other_parameters_data_or_code_start_afresh(run, change):
    change(run)
    with run.running():
        wait_until(lambda: run.events("step"), "the first step")
        assert run.resumed_from() is None
