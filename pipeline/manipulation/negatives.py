"""The negatives of the pretext task, a few faces at a time: from files to four manipulated pictures
and table rows each.
"""

import json
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pipeline.common import pictures, shards
from pipeline.manipulation import landmarks
from pipeline.manipulation import operations as manipulations
from pipeline.manipulation.landmarks import Regions
from pipeline.manipulation.operations import Amounts

READY_MADE = "ready_made"  # operation of an authors' picture: they do not say which index is which manipulation
SHEET_FACES = 6
COLUMNS = ("face_id", "row", "face_row", "operation", "amount", "note")


@dataclass(frozen=True)
class Chunk:
    """Some consecutive faces, and all that decides what becomes of them.

    `images` uint8 (n, H, W, 3), and their `rows` among the shards; `points` float64 (n, 14): FDF
    landmarks in pixels; `first_face`: place of the first face in the table. Folders, None where not
    used: `points_68` of `<face_id>.npy`, `ready_made` of `<face_id>_<0..3>.png`."""

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    face_ids: list[str]
    points: NDArray[np.float64]
    first_face: int
    seed: int
    warp_sigma: tuple[float, float]
    blend_ratios: list[float]
    points_68: Path | None = None
    ready_made: Path | None = None


@dataclass
class Negatives:
    """Pictures uint8 (4 n, H, W, 3), the rows of the table by column, and counts by (what, why)."""

    pictures: NDArray[np.uint8]
    table: dict[str, list[Any]]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    mouth_errors: list[float] = field(
        default_factory=list
    )  # pixels, of faces with both kinds of landmarks
    locally_edited: NDArray[np.bool_] = field(
        default_factory=lambda: np.zeros(0, dtype=bool)
    )  # (n,)


class Summary:
    """What the metrics and the contact sheet need of all chunks: 8 bytes a face at most."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.errors = array("d")  # pixels
        self.sheet: list[
            list[int]
        ] = []  # row of the picture and place in the table of the faces to show

    def add(self, chunk: Chunk, result: Negatives) -> None:
        """Count a chunk, and show its first locally edited faces while there is room."""
        self.counts += result.counts
        self.errors.extend(result.mouth_errors)
        for i in np.flatnonzero(result.locally_edited)[: SHEET_FACES - len(self.sheet)].tolist():
            self.sheet.append([int(chunk.rows[i]), chunk.first_face + i])

    def __add__(self, later: "Summary") -> "Summary":
        both = Summary()
        both.counts, both.errors = self.counts + later.counts, self.errors + later.errors
        both.sheet = (self.sheet + later.sheet)[:SHEET_FACES]
        return both

    def to_json(self) -> bytes:
        """All of it, for another process."""
        counts = [[*names, n] for names, n in self.counts.items()]
        return json.dumps(
            {"counts": counts, "errors": self.errors.tolist(), "sheet": self.sheet}
        ).encode()

    @staticmethod
    def from_json(text: bytes) -> "Summary":
        """What `to_json` wrote."""
        summary, content = Summary(), json.loads(text)
        summary.counts = Counter({(kind, name): n for kind, name, n in content["counts"]})
        summary.errors, summary.sheet = array("d", content["errors"]), content["sheet"]
        return summary

    def by(self, what: str) -> dict[str, int]:
        """Counts of one kind by name, sorted."""
        return {name: n for (kind, name), n in sorted(self.counts.items()) if kind == what}

    def metrics(self) -> dict[str, Any]:
        """The content of metrics/manipulations.json."""
        pictures = sum(self.by("operations").values())
        return {
            "faces": pictures // 4,
            "manipulated": pictures,
            "operations": self.by("operations"),
            "unusable_landmarks": self.by("unusable_landmarks"),
            "landmarks_68": self.counts["landmarks_68", "used"],
            "landmarks_68_rejected": self.by("landmarks_68_rejected"),
            "ready_made_rejected": self.by("ready_made_rejected"),
            "mouth_location_error_px": _quantiles(self.errors),
        }


def _quantiles(errors: Sequence[float]) -> dict[str, Any]:
    """Of the mouth located from seven landmarks, where 68 tell the truth."""
    values = np.asarray(errors)
    if not len(values):
        return {"faces": 0, "median": None, "p90": None}
    median, p90 = np.round(np.percentile(values, [50, 90]), 3).tolist()
    return {"faces": len(values), "median": median, "p90": p90}


def write(chunk: Chunk, folder: Path, faces: int) -> Negatives:
    """Make the negatives of a chunk and write their pictures at their place among those of so many
    faces.

    Returns the rest of the result: a worker process sends no pictures back.
    """
    result = make(chunk)
    shards.write_pictures(folder, result.pictures, first=4 * chunk.first_face, total=4 * faces)
    return replace(result, pictures=result.pictures[:0])


def make(chunk: Chunk) -> Negatives:
    """The negatives of a chunk of faces; row 4 i + k of the result is negative k of face i. One
    thread, no global state.
    """
    import torch

    torch.set_num_threads(1)  # the stage works on many chunks at once
    images = chunk.images
    side = images.shape[1]
    counts: Counter[tuple[str, str]] = Counter()
    regions, errors = _regions(chunk, side, counts)
    amounts = manipulations.draw_amounts(
        chunk.seed,
        chunk.face_ids,
        side=side,
        warp_sigma=chunk.warp_sigma,
        blend_ratios=chunk.blend_ratios,
    )
    pictures = manipulations.apply_all(torch.from_numpy(images), regions, amounts).numpy()
    rows = [_rows(chunk, regions, amounts, i) for i in range(len(images))]
    if chunk.ready_made is not None:
        _replace(pictures, rows, chunk.ready_made, counts)
    counts.update(("operations", row["operation"]) for four in rows for row in four)
    counts.update(("unusable_landmarks", reason) for reason in regions.reasons.tolist() if reason)
    table = {name: [row[name] for four in rows for row in four] for name in COLUMNS}
    return Negatives(pictures.reshape(-1, *images.shape[1:]), table, counts, errors, regions.usable)


def _rows(chunk: Chunk, regions: Regions, amounts: Amounts, i: int) -> list[dict[str, Any]]:
    """The four rows of the table of face i of a chunk."""
    return [
        {
            "face_id": chunk.face_ids[i],
            "row": 4 * (chunk.first_face + i) + k,
            "face_row": int(chunk.rows[i]),
            "operation": operation,
            "amount": json.dumps(amount),
            "note": str(regions.reasons[i]),
        }
        for k, (operation, amount) in enumerate(manipulations.describe(regions, amounts, i))
    ]


def _replace(
    pictures: NDArray[np.uint8],
    rows: list[list[dict[str, Any]]],
    folder: Path,
    counts: Counter[tuple[str, str]],
) -> None:
    """Put the authors' negatives in the place of ours, pictures (n, 4, H, W, 3); where one is
    unusable, ours stays.
    """
    for i, four in enumerate(rows):
        for k, row in enumerate(four):
            name = f"{row['face_id']}_{k}.png"
            picture, problem = _ready_made(folder / name, pictures.shape[2:])
            if picture is None:
                counts["ready_made_rejected", problem] += 1
                row["note"] = "; ".join(filter(None, [row["note"], f"ready_made_{problem}"]))
            else:
                pictures[i, k] = picture
                row.update(operation=READY_MADE, amount=json.dumps({"file": name}), note="")


def _regions(
    chunk: Chunk, side: int, counts: Counter[tuple[str, str]]
) -> tuple[Regions, list[float]]:
    """Regions from 68 landmarks where there are usable ones, else from seven; and the errors of the
    located mouths.
    """
    seven = landmarks.regions_from_seven(chunk.points, side)
    if chunk.points_68 is None:
        return seven, []
    errors: list[float] = []
    boxes, reasons = seven.boxes.copy(), seven.reasons.copy()
    for i, face_id in enumerate(chunk.face_ids):
        points, problem = _read_68(chunk.points_68 / f"{face_id}.npy")
        if points is not None:
            exact = landmarks.regions_from_68(points[None], side)
            problem = str(exact.reasons[0])
        if points is None or problem:
            if problem != "missing":
                counts["landmarks_68_rejected", problem] += 1
            continue
        counts["landmarks_68", "used"] += 1
        boxes[i], reasons[i] = exact.boxes[0], ""
        if not seven.reasons[i]:
            errors.extend(landmarks.mouth_errors(chunk.points[i : i + 1], points[None]).tolist())
    return Regions(boxes, reasons), errors


def _read_68(path: Path) -> tuple[NDArray[np.float64] | None, str]:
    """Landmarks (68, 2) in pixels, or the reason why not: missing, unreadable, not_numbers,
    wrong_shape.
    """
    try:
        # Memory-mapped: a header that promises more than the file holds is refused before any
        # memory is taken for it.
        points = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return None, "missing"
    except (OSError, ValueError, EOFError, SyntaxError, BadZipFile):
        return None, "unreadable"
    if not isinstance(points, np.ndarray) or points.dtype.kind not in "fiu":
        return None, "not_numbers"
    if points.shape != (68, 2):
        return None, "wrong_shape"
    return points.astype(np.float64), ""


def _ready_made(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8] | None, str]:
    """An authors' negative of the given shape, or the reason why not: those of
    `pictures.read_picture`, or wrong_size.
    """
    try:
        picture = pictures.read_picture(path)
    except pictures.UnreadablePicture as error:
        return None, error.reason
    return (picture, "") if picture.shape == shape else (None, "wrong_size")
