"""A small repository in which train_pretext is run by real commands, watched through its log, and
killed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.pretext_world import PARAMS, write_inputs

ROOT = Path(__file__).resolve().parents[1]
ARGUMENTS = (
    "--faces faces --manipulated manipulated --encoder models/encoder.safetensors "
    "--details models/pretext.json --metrics metrics/pretext.json --history metrics/history.csv"
)
OUTS = (
    "models/encoder.safetensors",
    "metrics/pretext.json",
    "metrics/history.csv",
    "models/pretext.json",
)
CHECKPOINT = "models/.resume/encoder.checkpoint"
TRAINER = [sys.executable, "trainer.py", *ARGUMENTS.split()]
MINUTES = 300.0  # seconds that a busy machine may need for what takes a few
GROUPS = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "PYTHONPATH",
    "PIPELINE_WORKERS",
    "SHELL",
)


class SmallRepository:
    """A folder with a copy of the code, faces, parameters and the logged trainer; `copy` gives one
    more in the same state.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.log = folder / "trainer.log"

    @classmethod
    def make(
        cls, folder: Path, *, faces: int = 40, validation: int = 4, **changes: object
    ) -> "SmallRepository":
        """Inputs as the stages before write them; changes: of parameters."""
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=ignored)
        shutil.copy(ROOT / "tests/logged_trainer.py", folder / "trainer.py")
        write_inputs(folder, faces=faces, validation=validation)
        repository = cls(folder)
        (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
        for name, value in {"epochs": 4, "batch_size": 9, **changes}.items():
            repository.replace("params.yaml", rf"{name}: ", str(value))
        return repository

    def copy(self, folder: Path) -> "SmallRepository":
        shutil.copytree(self.folder, folder, symlinks=True)
        return type(self)(folder)

    def replace(self, file: str, after: str, value: str) -> None:
        """Put a value in the place of what stands after a text, up to the next comma."""
        text = (self.folder / file).read_text(encoding="utf-8")
        head, found, tail = text.partition(after)
        assert found, f"{file} has no {after!r}"
        (self.folder / file).write_text(
            head + after + value + tail[tail.index(",") :], encoding="utf-8"
        )

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("GIT_") and name not in GROUPS
        }
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TRAINER_LOG": str(self.log),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.folder / ".site"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "OMP_NUM_THREADS": "1",
        }

    @contextmanager
    def running(
        self, command: Sequence[str] = TRAINER, **options: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """A command at work in a process group of its own, with a new log; whatever is left of it
        at the end is killed.
        """
        self.log.unlink(missing_ok=True)
        with (self.folder / "output.txt").open("w") as file:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=file,
                stderr=file,
                text=True,
                start_new_session=True,
                **options,
            )
            try:
                yield process
            finally:
                for left in {process.pid, *self.alive()}:
                    if left != process.pid or process.poll() is None:
                        _kill(left)
                process.wait()

    def run(self, command: Sequence[str] = TRAINER, **options: Any) -> tuple[int, str]:
        """Run a command to its end: exit status and all that it printed."""
        with self.running(command, **options) as process:
            code = process.wait(MINUTES)
        return code, self.output()

    def output(self) -> str:
        return (self.folder / "output.txt").read_text(encoding="utf-8", errors="replace")

    def events(self, name: str = "") -> list[list[str]]:
        """What the trainer has logged in its present or last run: time, event, numbers."""
        if not self.log.exists():
            return []
        lines = [
            line.split()
            for line in self.log.read_text(encoding="ascii").splitlines(keepends=True)
            if line.endswith("\n")
        ]
        return [line for line in lines if not name or line[1] == name]

    def resumed_from(self) -> tuple[int, int] | None:
        """Epoch and step of the checkpoint that the present or last run has read, if any."""
        found = self.events("from")
        return (int(found[0][2]), int(found[0][3])) if found else None

    @property
    def checkpoint(self) -> Path:
        """The checkpoint of a run that was ended."""
        return self.folder / CHECKPOINT

    def alive(self) -> dict[int, dict[str, str]]:
        """Processes that work in this folder, by number, with their environment."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and os.readlink(entry / "cwd") == str(self.folder):
                    pairs = (
                        pair.partition("=")
                        for pair in (entry / "environ").read_text(errors="replace").split("\0")
                    )
                    found[int(entry.name)] = {name: value for name, _, value in pairs}
            except OSError:  # it has just ended, or is a zombie
                continue
        return found

    def outs(self) -> dict[str, bytes]:
        """Content of each out that exists."""
        return {
            name: (self.folder / name).read_bytes()
            for name in OUTS
            if (self.folder / name).exists()
        }

    def places(self) -> list[str]:
        """All that lies where outs and checkpoints are written."""
        return sorted(
            str(p.relative_to(self.folder))
            for name in ("models", "metrics")
            for p in (self.folder / name).rglob("*")
        )


def wait_until(condition: Callable[[], object], what: str, seconds: float = MINUTES) -> None:
    """Come back when the condition holds; an AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
