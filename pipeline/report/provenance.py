"""Where a result comes from: the revision of the code and the versions of what it ran on."""

import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

CODE = ("pipeline", "dvc.yaml", "params.yaml", "requirements.txt")
PACKAGES = (
    "torch", "torchvision", "scikit-learn", "scipy", "numpy", "pandas", "pillow", "matplotlib",
    "dvc",
)  # fmt: skip


def revision(folder: str | Path = ".", paths: Sequence[str] = CODE) -> str:
    """The last git commit that touched `paths`, with `-modified` where they differ from it;
    "unknown" without git.

    Not HEAD: a commit of results alone must leave the report, and so dvc.lock, as they are. In a
    shallow clone git knows no older commit than the first it holds."""
    commit = _git(folder, "log", "-1", "--format=%H", "--", *paths)
    changes = _git(folder, "status", "--porcelain", "--", *paths)
    if not commit or changes is None:
        return "unknown"
    return f"{commit}-modified" if changes else commit


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Version of Python and of each installed package, without importing any."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _git(folder: str | Path, *arguments: str) -> str | None:
    """What git prints, or None where it is absent, fails, or `folder` is in no repository."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 (no shell)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
