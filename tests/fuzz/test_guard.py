"""What the fuzzer's guard lets an input do: in processes of their own, as its hook stays."""

import os
import subprocess
import sys
import zoneinfo
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ".fuzz/lists/scratch"
WATCHED = """
import contextlib, os, time
from pathlib import Path
from tests.fuzz.guard import Guard
guard = Guard(Path(".fuzz/lists/scratch"), 64, 0.2)
guard.begin()
with contextlib.suppress(FileNotFoundError):  # asked for all the same
    {}
guard.end()
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the guard asks Linux for the memory"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with code and, below it, that of the guard: as both lie by default."""
    root = tmp_path_factory.mktemp("code").resolve()
    (root / SCRATCH / "data").mkdir(parents=True)
    (root / SCRATCH / "data/out").symlink_to("/etc")
    (root / SCRATCH / "a.npy").touch()
    (root / f"{SCRATCH}-of-others").touch()
    (root / "package").mkdir()
    for name in ("params.yaml", "package/__init__.py", "data.csv", ".fuzz/lists/told-1.json"):
        (root / name).touch()
    return root


def said_of(statement, root):
    """The last line of what a process says in which a guard watches a statement."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.format(statement)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().rpartition("\n")[2]


def touching(path, how, root):
    """A statement that lists or opens a path."""
    whole = f"{root}/{path}" if path[0] != "/" else path
    return f"os.listdir({whole!r})" if how == "list" else f"open({whole!r}, {how!r}).close()"


@pytest.mark.parametrize(
    ("how", "path"),
    [
        ("r", f"{SCRATCH}/../../../../../../../../../../etc/passwd"),
        ("r", f"{SCRATCH}/data/out/passwd"),
        ("list", f"{SCRATCH}/data/out"),
        ("r", "params.yaml"),
        ("r", f"{SCRATCH}/../../../data.csv"),
        ("w", "package/__init__.py"),
        ("w", f"{zoneinfo.TZPATH[0]}/Nowhere/Else"),
        ("w", f"{SCRATCH}-of-others"),
        ("r", f"{SCRATCH}-of-others"),
        ("r", ".fuzz/lists/told-1.json"),
        ("list", ".fuzz/lists"),
        ("r", "/proc/self/environ"),
    ],
)
def test_what_lies_outside_the_folder_is_found(root, how, path):
    assert "Violation: path: " in said_of(touching(path, how, root), root)


@pytest.mark.parametrize(
    ("how", "path"),
    [
        ("r", f"{SCRATCH}/a.npy"),
        ("w", f"{SCRATCH}/data/../new"),
        ("list", SCRATCH),
        ("r", "package/__init__.py"),
        ("list", "package"),
        ("r", os.__file__),
        ("r", f"{zoneinfo.TZPATH[0]}/Europe/Berlin"),
    ],
)
def test_its_own_files_and_what_is_imported_late_are_not(root, how, path):
    assert said_of(touching(path, how, root), root) == ""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("while time.process_time() < guard._started + 0.3: pass", "Violation: time: 0."),
        ("time.sleep(0.3)", ""),  # as where a machine has other things to do
        ("bytearray(128 << 20)", "Violation: memory: 1"),
        ("os.system('true')", "Violation: code: os.system"),
        ("exec('1')", "Violation: code: exec"),
    ],
)
def test_time_memory_and_code(root, statement, said):
    found = said_of(statement, root)
    assert said in found
    assert bool(said) == bool(found)
