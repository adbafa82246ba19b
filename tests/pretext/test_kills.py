"""`dvc repro` that is killed at a random moment ends whole, and goes on to the same bytes.

Each trial kills one process and then lets dvc finish. Moments are drawn by the trial's number and
tied to the trainer's log, so that a slow machine spreads them alike."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.small_runs import ARGUMENTS, OUTS, SmallRepository, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("git"), reason="needs git")]
DVC = [sys.executable, "-m", "dvc"]
GRAPH = f"""
stages:
  train_pretext:
    cmd: exec python trainer.py {ARGUMENTS}
    deps: [faces, manipulated, pipeline, trainer.py]
    params: [seed, pretext]
    outs: [{", ".join(OUTS)}]
"""
# What the trainer is doing: the event that is awaited, how often at most, and the seconds after it
# at most.
PHASES = {
    "start": ("up", 1, 4.0),
    "training": ("step", 9, 0.2),
    "saving": ("save", 3, 0.3),
    "writing": ("write", 1, 0.25),
}
TRIALS = [
    ("start", "dvc", signal.SIGKILL),
    ("training", "trainer", signal.SIGTERM),
    ("training", "trainer", signal.SIGINT),
    ("training", "trainer", signal.SIGKILL),
    ("training", "dvc", signal.SIGTERM),
    ("training", "dvc", signal.SIGKILL),
    ("training", "group", signal.SIGINT),
    ("saving", "trainer", signal.SIGKILL),
    ("saving", "dvc", signal.SIGKILL),
    ("writing", "trainer", signal.SIGKILL),
    ("writing", "dvc", signal.SIGTERM),
]
ENDS_WITHIN = 20.0  # seconds from the kill to the end of the last process


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A git and dvc repository in which nothing has run."""
    folder = tmp_path_factory.mktemp("kills") / "template"
    repository = SmallRepository.make(folder, epochs=24)  # a fast machine is still training then
    (repository.folder / "dvc.yaml").write_text(GRAPH, encoding="utf-8")
    ignored = "__pycache__/\n/models/\n/metrics/\n/trainer.log\n/output.txt\n/.site/\n"
    (repository.folder / ".gitignore").write_text(ignored)
    for command in (["git", "init", "-q"], [*DVC, "init", "-q"]):
        subprocess.run(command, cwd=repository.folder, env=repository.environment, check=True)
    (repository.folder / ".dvcignore").write_text("__pycache__/\n/models/.resume/\n")
    yield repository
    shutil.rmtree(repository.folder.parent)


@pytest.fixture(scope="module")
def undisturbed(template):
    """The same after an undisturbed `dvc repro`."""
    repository = template.copy(template.folder.parent / "undisturbed")
    code, output = repository.run([*DVC, "repro"])
    assert code == 0 and repository.resumed_from() is None, output
    assert set(repository.outs()) == set(OUTS) and len(repository.events("saved")) >= 4
    return repository


def strike(repository, target, number, moment):
    """Run until the moment, kill, and see that no process goes on."""
    event, times, delay = moment
    with repository.running([*DVC, "repro"]) as dvc:
        wait_until(lambda: len(repository.events(event)) >= times, f"{times} of {event}")
        time.sleep(delay)
        steps = len(repository.events("step"))
        process = dvc.pid if target != "trainer" else int(repository.events("up")[0][2])
        if process in repository.alive():
            (os.killpg if target == "group" else os.kill)(process, number)
        wait_until(
            lambda: dvc.poll() is not None and not repository.alive(),
            "the end of all processes",
            ENDS_WITHIN,
        )
        assert len(repository.events("step")) <= steps + 2


@pytest.mark.parametrize(
    "trial", range(len(TRIALS)), ids=lambda i: f"{TRIALS[i][0]}-{TRIALS[i][1]}"
)
def test_killed_training_ends_whole_and_goes_on_to_the_same_bytes(template, undisturbed, trial):
    phase, target, number = TRIALS[trial]
    event, most, delay = PHASES[phase]
    draw = random.Random(trial)
    repository = template.copy(template.folder.parent / f"trial-{trial}")
    expected = undisturbed.outs()
    strike(repository, target, number, (event, draw.randint(1, most), draw.uniform(0, delay)))
    for name, content in repository.outs().items():
        assert content == expected[name], f"{name} was left half written"
    saved = repository.events("saved")
    code, output = repository.run([*DVC, "repro"])
    assert code == 0 and repository.outs() == expected, output
    assert repository.places() == undisturbed.places()
    locks = [(each.folder / "dvc.lock").read_bytes() for each in (repository, undisturbed)]
    assert locks[0] == locks[1]
    if phase in ("training", "saving") and saved and repository.events("up"):
        assert repository.resumed_from() is not None
    shutil.rmtree(repository.folder)
