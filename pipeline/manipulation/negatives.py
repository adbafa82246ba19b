"""The pretext task's negatives, some faces at a time: four pictures and table rows of each."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common import pictures, shards
from pipeline.manipulation import landmarks, operations
from pipeline.manipulation.landmarks import Regions

READY_MADE = "ready_made"  # the authors do not say which of their four is which manipulation
COLUMNS = ("face_id", "row", "face_row", "operation", "amount", "note")


@dataclass(frozen=True)
class Settings:
    """What is the same for all faces; parameters as in params.yaml.

    Folders, None where not used: `points_68` of `<face_id>.npy` with 68 landmarks, `ready_made` of
    the authors' `<face_id>_<0..3>.png`."""

    seed: int
    warp_sigma: tuple[float, float]
    blend_ratios: list[float]
    points_68: Path | None = None
    ready_made: Path | None = None


@dataclass(frozen=True)
class Chunk:
    """Some consecutive faces, the first at place `first` in the table of faces.

    `images` uint8 (n, H, W, 3), and their `rows` among the shards; `points` float64 (n, 14): FDF
    landmarks in pixels."""

    first: int
    face_ids: list[str]
    rows: NDArray[np.int64]
    points: NDArray[np.float64]
    images: NDArray[np.uint8]


@dataclass(frozen=True)
class Negatives:
    """Pictures uint8 (4 n, H, W, 3), the rows of the table by column, counts by (kind, name), and
    errors in pixels of the located mouth of faces with both kinds of landmarks.
    """

    pictures: NDArray[np.uint8]
    table: dict[str, Any]
    counts: Counter[tuple[str, str]]
    mouth_errors: list[float]


def write(chunk: Chunk, settings: Settings, folder: Path, faces: int) -> Negatives:
    """Make the negatives of a chunk and write their pictures at their place among those of so many
    faces.

    Returns the rest: a worker process sends no pictures back."""
    result = make(chunk, settings)
    shards.write_pictures(folder, result.pictures, first=4 * chunk.first, total=4 * faces)
    return replace(result, pictures=result.pictures[:0])


def make(chunk: Chunk, settings: Settings) -> Negatives:
    """The negatives of a chunk of faces; row 4 i + k of the result is negative k of face i."""
    counts: Counter[tuple[str, str]] = Counter()
    side = chunk.images.shape[1]
    regions, errors = _regions(chunk, settings.points_68, counts)
    amounts = operations.draw_amounts(
        settings.seed,
        chunk.face_ids,
        side=side,
        warp_sigma=settings.warp_sigma,
        blend_ratios=settings.blend_ratios,
    )
    made = np.empty((len(chunk.images), 4, *chunk.images.shape[1:]), np.uint8)
    rows: list[dict[str, Any]] = []
    for i, (image, face_id) in enumerate(zip(chunk.images, chunk.face_ids, strict=True)):
        made[i] = operations.manipulate(image, regions, amounts, i)
        for k, (operation, amount) in enumerate(operations.describe(regions, amounts, i)):
            values = (4 * (chunk.first + i) + k, int(chunk.rows[i]), operation, json.dumps(amount))
            row = dict(zip(COLUMNS, (face_id, *values, str(regions.reasons[i])), strict=True))
            if settings.ready_made is not None:
                _replace(made[i, k], row, settings.ready_made / f"{face_id}_{k}.png", counts)
            rows.append(row)
    counts.update(("operations", row["operation"]) for row in rows)
    counts.update(("unusable_landmarks", reason) for reason in regions.reasons.tolist() if reason)
    table: dict[str, Any] = {name: [row[name] for row in rows] for name in COLUMNS}
    table |= {name: np.array(table[name], np.int64) for name in ("row", "face_row")}
    return Negatives(made.reshape(-1, *chunk.images.shape[1:]), table, counts, errors)


def metrics(counts: Counter[tuple[str, str]], mouth_errors: Sequence[float]) -> dict[str, Any]:
    """The content of manipulations.json, from the counts and errors of all chunks."""

    def by_name(kind: str) -> dict[str, int]:
        return {name: n for (own, name), n in sorted(counts.items()) if own == kind}

    median, p90 = (
        np.round(np.percentile(mouth_errors, [50, 90]), 3).tolist() if mouth_errors else (None,) * 2
    )
    manipulated = sum(by_name("operations").values())
    return {
        "faces": manipulated // 4,
        "manipulated": manipulated,
        "operations": by_name("operations"),
        "unusable_landmarks": by_name("unusable_landmarks"),
        "landmarks_68": counts["landmarks_68", "used"],
        "landmarks_68_rejected": by_name("landmarks_68_rejected"),
        "ready_made_rejected": by_name("ready_made_rejected"),
        "mouth_location_error_px": {"faces": len(mouth_errors), "median": median, "p90": p90},
    }


def _replace(
    ours: NDArray[np.uint8], row: dict[str, Any], path: Path, counts: Counter[tuple[str, str]]
) -> None:
    """Put the authors' negative in the place of ours; where it is unusable, ours stays."""
    try:
        picture, transparent = pictures.decode(pictures.read_picture_file(path), path)
        problem = "transparent" if transparent else ""
        problem = problem if picture.shape == ours.shape else "wrong_size"
    except pictures.UnreadablePicture as error:
        problem = error.reason
    if problem:
        counts["ready_made_rejected", problem] += 1
        row["note"] = "; ".join(filter(None, [row["note"], f"ready_made_{problem}"]))
        return
    ours[:] = picture
    row.update(operation=READY_MADE, amount=json.dumps({"file": path.name}), note="")


def _regions(
    chunk: Chunk, folder: Path | None, counts: Counter[tuple[str, str]]
) -> tuple[Regions, list[float]]:
    """Regions from 68 landmarks where usable, else from seven; errors of the located mouths."""
    side = chunk.images.shape[1]
    seven = landmarks.regions_from_seven(chunk.points, side)
    if folder is None:
        return seven, []
    boxes, reasons, errors = seven.boxes.copy(), seven.reasons.copy(), list[float]()
    for i, face_id in enumerate(chunk.face_ids):
        points, problem = _read_68(folder / f"{face_id}.npy")
        if problem == "missing":
            continue
        exact = landmarks.regions_from_68(points[None], side)
        problem = problem or str(exact.reasons[0])
        if problem:
            counts["landmarks_68_rejected", problem] += 1
            continue
        counts["landmarks_68", "used"] += 1
        boxes[i], reasons[i] = exact.boxes[0], ""
        if not seven.reasons[i]:
            errors += landmarks.mouth_errors(chunk.points[i : i + 1], points[None]).tolist()
    return Regions(boxes, reasons), errors


def _read_68(path: Path) -> tuple[NDArray[np.float64], str]:
    """Landmarks (68, 2) in pixels, or NaN and the reason why."""
    none = np.full((68, 2), np.nan)
    if path.exists() and not path.is_file():  # a pipe would keep us waiting
        return none, "unreadable"
    try:
        # Memory-mapped: a header that promises more than the file holds is refused before any
        # memory is taken for it.
        points = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return none, "missing"
    except Exception:  # NumPy raises nearly any on damaged bytes
        return none, "unreadable"
    if not isinstance(points, np.ndarray) or points.dtype.kind not in "fiu":
        return none, "not_numbers"
    if points.shape != (68, 2):
        return none, "wrong_shape"
    return points.astype(np.float64), ""
