"""What tests/common/test_process_group.py starts with torchrun: each process writes into FOLDER
what it got from the methods of ProcessGroup.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from pipeline.common import process_group

BROADCAST = [b"", b"\0", np.random.default_rng(0).bytes(3_000_001)]
VALUES = [-0.0, float("nan"), 1e-40, float("inf")]  # of a row; the last column is the process


def rows(count: int, kind: str) -> np.ndarray:
    """Row i is process i's."""
    if kind == "bool":
        return np.arange(count) % 2 == 0
    values = VALUES if kind.startswith("f") else [0, -1, 255, 7]
    return np.array([[*values, rank] for rank in range(count)]).astype(kind)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def talk(folder: Path) -> None:
    with process_group.group() as group:
        got: dict[str, object] = {"place": [group.rank, group.count, group.first]}
        sent = [group.broadcast(content if group.first else None) for content in BROADCAST]
        got["broadcast"] = list(map(digest, sent))
        for kind in ("f4", "f8", "i8", "u1", "bool"):
            own = rows(group.count, kind)
            own[np.arange(group.count) != group.rank] = 0
            got[kind] = digest(group.assemble(own).tobytes())
        flags = (False, group.rank == 2, True, not group.first)
        got["any"] = [group.any(flag) for flag in flags]
        group.wait()
    (folder / f"{group.rank}.json").write_text(json.dumps(got))


if __name__ == "__main__":
    talk(Path(sys.argv[1]))
