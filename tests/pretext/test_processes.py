"""Several real processes, started by torchrun on the CPU, train as one, end together, and go on
where they were.
"""

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pipeline.encoder.backbones import Architecture
from pipeline.encoder.network import Encoder
from tests.pretext_world import pretext
from tests.small_runs import ARGUMENTS, OUTS, ROOT, SmallRepository, wait_until

pytestmark = pytest.mark.slow
STAGE = ["-m", "pipeline.stages.train_pretext", *ARGUMENTS.split()]
ENDS_WITHIN = 20.0  # seconds from a death to the end of all processes


def torchrun(count: int, *arguments: object) -> list[str]:
    launcher = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node={count}"
    return [*launcher.split(), *map(str, arguments)]


def rank_of(repository: SmallRepository, rank: int) -> int:
    """The number of the process of this rank, 0 before it has started."""
    ranks = {pid: variables.get("RANK") for pid, variables in repository.alive().items()}
    return next((pid for pid, own in ranks.items() if own == str(rank)), 0)


# --- training as one


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Iterator[SmallRepository]:
    """50 training faces in batches of 12: the last batch of each epoch has 2, fewer than three
    processes.
    """
    folder = tmp_path_factory.mktemp("faces") / "run"
    repository = SmallRepository.make(
        folder, faces=55, validation=5, epochs=5, batch_size=12, learning_rate=1e-4
    )
    shutil.copy(ROOT / "tests/several_processes.py", folder)
    yield repository
    shutil.rmtree(folder)


class Trained:
    """What a run of `train` in several_processes left."""

    def __init__(self, repository: SmallRepository, count: int, precision: str):
        from safetensors.numpy import load_file

        folder = repository.folder / f"{precision}-{count}"
        folder.mkdir()
        arguments = ("several_processes.py", folder, precision)
        code, output = repository.run(
            [sys.executable, *map(str, arguments)] if count == 1 else torchrun(count, *arguments)
        )
        assert code == 0, output
        result = json.loads((folder / "result.json").read_text())
        self.steps = np.array(result["steps"])  # epoch, step, sums of faces, losses
        self.history, self.metrics = result["history"], result["metrics"]
        self.first = load_file(folder / "first.safetensors")  # the state after the first step
        self.weights = {(folder / f"{rank}.weights").read_text() for rank in range(count)}

    def numbers(self) -> np.ndarray:
        """Every number of the history."""
        return np.array(
            [[value for value in row.values() if value is not None] for row in self.history]
        )


def distance(one: Trained, other: Trained, name: str) -> float:
    """Between two tensors of the state after the first step, as a share of their length."""
    first, second = one.first[name].astype(float), other.first[name].astype(float)
    return float(np.linalg.norm(first - second)) / max(float(np.linalg.norm(first)), 1e-300)


@pytest.fixture(scope="module")
def alone(faces) -> Trained:
    return Trained(faces, 1, "double")


@pytest.fixture(scope="module", params=[2, 3])
def together(faces, request) -> Trained:
    return Trained(faces, request.param, "double")


def test_steps_history_and_validation_are_those_of_one_process(alone, together):
    assert together.steps.shape == (25, 8)
    assert np.array_equal(alone.steps[:, :3], together.steps[:, :3])
    assert alone.steps[:5, 2].tolist() == [12, 24, 36, 48, 50]
    np.testing.assert_allclose(together.steps[:, 3:], alone.steps[:, 3:], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(together.numbers(), alone.numbers(), rtol=1e-6, atol=1e-9)
    assert together.metrics["ranking_accuracy"] == alone.metrics["ranking_accuracy"]
    assert len(together.weights) == 1  # of all processes


def test_the_first_step_has_the_gradients_and_batch_statistics_of_one_process(alone, together):
    kinds = Counter(name.rpartition(".")[2] for name in alone.first)
    encoder = Encoder(Architecture.of(pretext()))
    assert kinds["exp_avg"] == len(list(encoder.parameters()))  # a tenth of the gradient
    norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.modules())
    assert kinds["running_mean"] == kinds["running_var"] == norms
    for name in alone.first:
        assert distance(alone, together, name) <= 1e-9, name


# --- the stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Iterator[SmallRepository]:
    """The stage's inputs, and no run yet."""
    folder = tmp_path_factory.mktemp("stage") / "template"
    yield SmallRepository.make(folder)
    shutil.rmtree(folder.parent)


@pytest.fixture
def repository(stage) -> Iterator[SmallRepository]:
    """A copy for one test."""
    copy = stage.copy(stage.folder.parent / "run")
    yield copy
    shutil.rmtree(copy.folder)


@pytest.fixture(scope="module")
def undisturbed(stage) -> dict[str, bytes]:
    """The outs of two processes that nothing disturbed; written once, by one of them."""
    copy = stage.copy(stage.folder.parent / "undisturbed")
    code, output = copy.run(torchrun(2, *STAGE))
    assert code == 0, output
    assert output.count("Pretext task: 36 training and 4 validation faces") == 1
    assert sorted(copy.outs()) == sorted(OUTS)
    assert not [place for place in copy.places() if place.endswith((".partial", ".checkpoint"))]
    return copy.outs()


@pytest.mark.parametrize("killed", ["launcher", "one process"])
def test_asked_to_end_all_end_and_resume_to_the_same_bytes(repository, undisturbed, killed):
    with repository.running(torchrun(2, "trainer.py", *ARGUMENTS.split())) as launcher:
        wait_until(lambda: len(repository.events("step")) >= 6, "some steps")
        os.kill(launcher.pid if killed == "launcher" else rank_of(repository, 1), signal.SIGTERM)
        ended = lambda: launcher.poll() is not None and not repository.alive()  # noqa: E731
        wait_until(ended, "the end of all", ENDS_WITHIN)
        assert launcher.returncode != 0
    assert repository.output().count("ended on request") == 1
    assert repository.checkpoint.exists() and repository.outs() == {}
    code, output = repository.run(torchrun(2, "trainer.py", *ARGUMENTS.split()))
    assert code == 0, output
    assert repository.resumed_from() > (0, 0)
    assert repository.outs() == undisturbed


def test_when_one_process_is_killed_the_run_ends_with_an_error(repository):
    with repository.running(torchrun(2, "trainer.py", *ARGUMENTS.split())) as launcher:
        wait_until(lambda: len(repository.events("step")) >= 4, "some steps")
        os.kill(rank_of(repository, 1), signal.SIGKILL)
        ended = lambda: launcher.poll() is not None and not repository.alive()  # noqa: E731
        wait_until(ended, "the end of all", ENDS_WITHIN)
        assert launcher.returncode != 0 and repository.outs() == {}


def test_nothing_outlives_the_parent_of_torchrun(repository):
    command = " ".join(torchrun(2, "trainer.py", *ARGUMENTS.split()))
    with repository.running(["sh", "-c", f"{command}; true"]) as parent:  # stands for dvc
        wait_until(lambda: repository.events("step"), "the start of training")
        assert len(repository.alive()) >= 4
        parent.kill()
        wait_until(lambda: not repository.alive(), "the end of all", ENDS_WITHIN + 10)
    assert repository.outs() == {}
