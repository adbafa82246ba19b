"""Training that is killed at any moment and run again ends with the bytes of an undisturbed run:
real dvc, real signals.

Each trial starts `dvc repro`, kills one of its processes at a moment drawn by the trial's number,
perhaps again, and then lets it finish. The moments are tied to what the trainer's log says, so that
a slow machine spreads them alike."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

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
    outs: [{OUTS[0]}]
    metrics: [{{{OUTS[1]}: {{cache: false}}}}]
    plots: [{{{OUTS[2]}: {{cache: false}}}}]
"""
KILLS = [
    ("trainer", signal.SIGTERM),
    ("trainer", signal.SIGINT),
    ("trainer", signal.SIGKILL),
    ("dvc", signal.SIGTERM),
    ("dvc", signal.SIGKILL),
    ("group", signal.SIGINT),
]
# What the trainer is doing: the event that is awaited, how often at most, and the seconds after it
# at most.
PHASES = {
    "start": ("up", 1, 4.0),
    "training": ("step", 9, 0.2),
    "saving": ("save", 3, 0.3),
    "writing": ("write", 1, 0.25),
}
TRIALS = [(phase, *kill) for phase in PHASES for kill in KILLS]
ENDS_WITHIN = 20.0  # seconds from the kill to the end of the last process; a step and a state take parts of one


@dataclass
class Trial:
    """What became of one trial: a line per death, where each later run went on, and what was wrong."""

    phase: str
    target: str
    signal: signal.Signals
    deaths: list[str] = field(default_factory=list)
    went_on_from: list[tuple[int, int] | None] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Iterator[SmallRepository]:
    """A git and dvc repository in which nothing has run."""
    repository = SmallRepository.make(tmp_path_factory.mktemp("kills") / "template")
    (repository.folder / "dvc.yaml").write_text(GRAPH, encoding="utf-8")
    (repository.folder / ".gitignore").write_text(
        "__pycache__/\n/models/\n/metrics/\n/trainer.log\n/output.txt\n/.site/\n"
    )
    for command in (
        ["git", "init", "-q"],
        [*DVC, "init", "-q"],
        [*DVC, "config", "core.analytics", "false"],
    ):
        subprocess.run(command, cwd=repository.folder, env=repository.environment, check=True)
    (repository.folder / ".dvcignore").write_text(
        "__pycache__/\n/models/.resume/\n", encoding="utf-8"
    )
    yield repository
    shutil.rmtree(repository.folder.parent)  # states are large


@pytest.fixture(scope="module")
def undisturbed(template) -> SmallRepository:
    """The same after an undisturbed `dvc repro`."""
    repository = template.copy(template.folder.parent / "undisturbed")
    code, output = repository.run([*DVC, "repro"])
    assert code == 0 and repository.resumed_from() is None, output
    assert set(repository.outs()) == set(OUTS)
    assert not repository.checkpoint.exists() and len(repository.events("saved")) >= 4
    return repository


def strike(repository: SmallRepository, trial: Trial, moment: tuple[str, int, float]) -> None:
    """Run until the moment, kill, and see that all ends and no out is half written."""
    event, times, delay = moment
    with repository.running([*DVC, "repro"]) as dvc:
        wait_until(
            lambda: len(repository.events(event)) >= times or dvc.poll() is not None,
            f"{times} of {event}",
        )
        time.sleep(delay)
        done = len(repository.events("step"))
        before = repository.events()
        if dvc.poll() is not None:
            return
        if trial.target == "group":
            os.killpg(dvc.pid, trial.signal)
        else:
            kill_one(repository, trial, dvc.pid)
        try:
            wait_until(
                lambda: dvc.poll() is not None and not repository.alive(),
                "the end of all processes",
                ENDS_WITHIN,
            )
        except AssertionError as error:
            trial.faults.append(f"{error}: {sorted(repository.alive())}")
        after = len(repository.events("step"))
        if after > done + 2:
            trial.faults.append(f"{after - done} steps were made after {before[-1]} and the kill")
        if dvc.returncode == 0 and not repository.events("end"):
            trial.faults.append("dvc ended with 0")
        trial.deaths.append(before[-1][1])


def kill_one(repository: SmallRepository, trial: Trial, dvc: int) -> None:
    process = dvc if trial.target == "dvc" else int(repository.events("up")[0][2])
    if process in repository.alive():
        os.kill(process, trial.signal)


def attempt(template: SmallRepository, undisturbed: SmallRepository, number: int) -> Trial:
    trial = Trial(*TRIALS[number])
    draw = random.Random(number)
    repository = template.copy(template.folder.parent / f"trial-{number}")
    event, times, delay = PHASES[trial.phase]
    for _ in range(draw.choice([1, 2, 3]) if trial.phase == "training" else 1):
        strike(repository, trial, (event, draw.randint(1, times), draw.uniform(0, delay)))
        trial.went_on_from.append(repository.resumed_from())
        for name, content in repository.outs().items():
            if content != undisturbed.outs()[name]:
                trial.faults.append(f"{name} was left with {len(content)} bytes")
    code, output = repository.run([*DVC, "repro"])
    trial.went_on_from.append(repository.resumed_from())
    if code:
        trial.faults.append(f"dvc repro ended with {code}\n{output}")
    compare(repository, undisturbed, trial)
    shutil.rmtree(repository.folder)
    return trial


def compare(repository: SmallRepository, undisturbed: SmallRepository, trial: Trial) -> None:
    ours, theirs = repository.outs(), undisturbed.outs()
    trial.faults += [f"{name} differs" for name in OUTS if ours.get(name) != theirs[name]]
    if (repository.folder / "dvc.lock").read_bytes() != (
        undisturbed.folder / "dvc.lock"
    ).read_bytes():
        trial.faults.append("dvc.lock differs")
    if left := set(repository.places()) ^ set(undisturbed.places()):
        trial.faults.append(f"not the same files: {sorted(left)}")


@pytest.fixture(scope="module")
def trials(template, undisturbed) -> list[Trial]:
    """All trials, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(
            pool.map(lambda number: attempt(template, undisturbed, number), range(len(TRIALS)))
        )


@pytest.mark.parametrize(
    "number", range(len(TRIALS)), ids=[f"{p}-{t}-{s.name}" for p, t, s in TRIALS]
)
def test_killed_training_ends_whole_and_goes_on_to_the_same_bytes(trials, number):
    assert trials[number].faults == [], trials[number]


def test_the_trials_died_everywhere_and_went_on_from_states(trials):
    deaths = Counter(death for trial in trials for death in trial.deaths)
    went_on = [place for trial in trials for place in trial.went_on_from if place]
    print(deaths, went_on)
    assert len(trials) >= 20 and sum(deaths.values()) >= 20
    assert sum(deaths[event] for event in ("from", "step", "save", "saved")) >= 8, "in training"
    assert len(went_on) >= 8 and len(set(went_on)) >= 4 and any(step for _, step in went_on)
