"""What the fuzzer's guard lets an input touch: in processes of their own, as its hook stays."""

import os
import subprocess
import sys
import zoneinfo
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOUCH = """
import contextlib, os, sys
from pathlib import Path
from tests.fuzz.guard import Guard
how, path = sys.argv[1:]
guard = Guard(Path(".fuzz/lists/scratch"), 64, 10)
guard.begin()
with contextlib.suppress(FileNotFoundError):  # asked for all the same
    os.listdir(path) if how == "list" else open(path, how).close()
guard.end()
"""
SCRATCH = ".fuzz/lists/scratch"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the guard asks Linux for the memory"
)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What is said of (how, path) by a guard whose folder lies below one with code, by default."""
    root = tmp_path_factory.mktemp("code").resolve()
    (root / SCRATCH / "root").mkdir(parents=True)
    (root / SCRATCH / "root/out").symlink_to("/etc")
    (root / SCRATCH / "a.npy").touch()
    (root / f"{SCRATCH}-of-others").touch()
    (root / "package").mkdir()
    for name in ("params.yaml", "package/__init__.py", "data.csv", ".fuzz/lists/told-1.json"):
        (root / name).touch()

    def touch(how, path):
        done = subprocess.run(
            [sys.executable, "-c", TOUCH, how, str(root / path)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stderr.strip().rpartition("\n")[2]

    return touch


@pytest.mark.parametrize(
    ("how", "path"),
    [
        ("r", f"{SCRATCH}/../../../../../../../../../../etc/passwd"),
        ("r", f"{SCRATCH}/root/out/passwd"),
        ("list", f"{SCRATCH}/root/out"),
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
def test_what_lies_outside_the_folder_is_found(said, how, path):
    assert "Violation: path: " in said(how, path)


@pytest.mark.parametrize(
    ("how", "path"),
    [
        ("r", f"{SCRATCH}/a.npy"),
        ("w", f"{SCRATCH}/root/../new"),
        ("list", SCRATCH),
        ("r", "package/__init__.py"),
        ("list", "package"),
        ("r", os.__file__),
        ("r", f"{zoneinfo.TZPATH[0]}/Europe/Berlin"),
    ],
)
def test_its_own_files_and_what_is_imported_late_are_not(said, how, path):
    assert said(how, path) == ""
