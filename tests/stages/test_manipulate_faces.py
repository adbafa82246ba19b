"""The stage on small faces written to disk: rows, bytes, reasons and counts."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, shards
from pipeline.common.names import LANDMARK_COLUMNS
from pipeline.manipulation import landmarks, operations
from pipeline.stages import manipulate_faces

SIDE = 96
POINTS = np.array([48, 54, 39, 44, 57, 44, 28, 45, 68, 45, 8, 95, 88, 95], dtype=float)
PARAMS = """
seed: 1
manipulation: {source: %s, warp_sigma: [0.04, 0.05], blend_ratios: [0.75, 1, 1, 1]}
"""
FDF = Path("sample/SSL_training_data/FDF/data")


class Output(NamedTuple):
    table: pd.DataFrame
    pictures: np.ndarray
    counts: dict[str, Any]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; one process and a few faces a job, so that several jobs are joined."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    monkeypatch.setattr(manipulate_faces, "FACES_PER_JOB", 3)
    return tmp_path


def write_faces(points: np.ndarray) -> np.ndarray:
    """Faces of noise with these landmarks (n, 14), stored in reverse; returns them in order."""
    n = len(points)
    images = np.random.default_rng(5).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
    writer = shards.ShardWriter("faces", images.shape[1:], pictures_per_shard=5)
    writer.append(images[::-1])
    writer.close()
    columns = {"face_id": [f"f{i}" for i in range(n)], "row": np.arange(n)[::-1]}
    columns |= dict(zip(LANDMARK_COLUMNS, points.T, strict=True))
    artifacts.write_table("faces/faces.parquet", pd.DataFrame(columns))
    return images


def some_points(n: int) -> np.ndarray:
    return POINTS + np.random.default_rng(4).normal(0, 1, (n, 14))


def run(source: str = "generate", output: str = "manipulated") -> Output:
    Path("params.yaml").write_text(PARAMS % source)
    manipulate_faces.main(["--root=sample", "--faces=faces", f"--output={output}"])
    return Output(
        artifacts.read_table(f"{output}/manipulated.parquet"),
        shards.read_shards(output)[:],
        artifacts.read_json(f"{output}/manipulations.json"),
    )


def test_rows_pictures_and_counts_agree():
    points = some_points(9)
    points[2] = np.nan
    points[5, 2:4] = points[5, 4:6]
    images = write_faces(points)
    table, pictures, counts = run()
    assert list(table.columns) == ["face_id", "row", "face_row", "operation", "amount", "note"]
    assert table.face_id.tolist() == np.repeat([f"f{i}" for i in range(9)], 4).tolist()
    assert table.row.tolist() == list(range(36))
    assert table.face_row.tolist() == np.repeat(np.arange(9)[::-1], 4).tolist()
    regions = landmarks.regions_from_seven(points, SIDE)
    amounts = operations.draw_amounts(
        1,
        [f"f{i}" for i in range(9)],
        side=SIDE,
        warp_sigma=(0.04, 0.05),
        blend_ratios=[0.75, 1, 1, 1],
    )
    for i in range(9):
        own = slice(4 * i, 4 * i + 4)
        expected = operations.manipulate(images[i], regions, amounts, i)
        np.testing.assert_array_equal(pictures[own], expected)
        described = operations.describe(regions, amounts, i)
        made = zip(table.operation[own], map(json.loads, table.amount[own]), strict=True)
        assert list(made) == described
    notes = {2: "landmarks_missing", 5: "eyes_coincide"}
    assert table.note.tolist() == [notes.get(i, "") for i in range(9) for _ in range(4)]
    local = dict.fromkeys(operations.OPERATIONS[:3], 7)
    assert counts == {
        "faces": 9,
        "manipulated": 36,
        "operations": local | {"face_warped": 15},
        "unusable_landmarks": {"landmarks_missing": 1, "eyes_coincide": 1},
        "landmarks_68": 0,
        "landmarks_68_rejected": {},
        "ready_made_rejected": {},
        "mouth_location_error_px": {"faces": 0, "median": None, "p90": None},
    }


def test_the_first_faces_with_all_four_manipulations_are_shown(capsys):
    points = some_points(9)
    points[[0, 3]] = np.nan
    images = write_faces(points)
    pictures = run().pictures
    sheet = np.asarray(Image.open("manipulated/examples.png"))
    for line, face in enumerate([1, 2, 4, 5, 6, 7]):
        shown = [images[face], *pictures[4 * face : 4 * face + 4]]
        for column, picture in enumerate(shown):  # cells of 112 pixels, 4 apart, below the titles
            top, left = 22 + 116 * line + 8, 4 + 116 * column + 8
            np.testing.assert_array_equal(sheet[top : top + SIDE, left : left + SIDE], picture)
    assert len(sheet) == 22 + 6 * 116
    assert "2 faces only warped: landmarks missing" in capsys.readouterr().out


def test_the_bytes_do_not_depend_on_the_number_of_processes(monkeypatch: pytest.MonkeyPatch):
    write_faces(some_points(40))
    run(output="one")
    monkeypatch.setenv("PIPELINE_WORKERS", "2")
    monkeypatch.setattr(manipulate_faces, "FACES_PER_JOB", 7)
    run(output="two")
    one, two = ({p.name: p.read_bytes() for p in Path(x).iterdir()} for x in ("one", "two"))
    assert one == two and len(one) == 4


def points_68(mouth_shift: float = 0.0) -> np.ndarray:
    """68 landmarks on ellipses around the mouth and eyes of POINTS."""
    points = np.tile([48.0, 54.0], (68, 1))
    centres = ((48, 63 + mouth_shift), (39, 44), (57, 44))
    for own, centre, width in zip(landmarks.POINTS_68, centres, (9, 5, 5), strict=True):
        angle = np.linspace(0, 2 * np.pi, 1 + own.stop - own.start)[:-1]
        circle = np.stack([width * np.cos(angle), 3 * np.sin(angle)], axis=1)
        points[own] = np.array(centre) + circle
    return points


def test_68_landmarks_are_preferred_and_bad_ones_counted():
    points = np.tile(POINTS, (7, 1))
    points[6] = np.nan  # only its 68 landmarks are usable
    write_faces(points)
    folder = FDF / "fdf/landmarks"
    folder.mkdir(parents=True)
    np.save(folder / "f0.npy", points_68(3))
    np.save(folder / "f1.npy", points_68()[:67])
    np.save(folder / "f2.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.save(folder / "f3.npy", np.full((68, 2), np.nan))
    (folder / "f4.npy").write_bytes((folder / "f0.npy").read_bytes()[:300])
    np.save(folder / "f5.npy", np.full((68, 2), "a"))
    np.save(folder / "f6.npy", points_68())
    table, _, counts = run()
    assert counts["landmarks_68"] == 2
    assert counts["landmarks_68_rejected"] == {
        "wrong_shape": 1,
        "unreadable": 2,  # a pickle inside, and a truncated file
        "landmarks_missing": 1,
        "not_numbers": 1,
    }
    assert counts["unusable_landmarks"] == {}
    assert counts["mouth_location_error_px"] == {"faces": 1, "median": 3.0, "p90": 3.0}
    exact = landmarks.regions_from_68(points_68(3)[None], SIDE)
    located = landmarks.regions_from_seven(POINTS[None], SIDE)
    assert json.loads(table.amount[0])["box"] == exact.boxes[0, 0].tolist()
    assert json.loads(table.amount[4])["box"] == located.boxes[0, 0].tolist()


def test_ready_made_negatives_replace_ours_where_they_are_usable():
    write_faces(np.stack([POINTS, np.full(14, np.nan)]))
    generated = run().pictures
    folder = FDF / "face_dataaug_neg"
    folder.mkdir(parents=True)
    ready = np.random.default_rng(6).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    for k in range(4):
        Image.fromarray(ready[k]).save(folder / f"f0_{k}.png")
    Image.fromarray(ready[0][:64]).save(folder / "f1_0.png")
    (folder / "f1_1.png").write_bytes((folder / "f0_1.png").read_bytes()[:2000])
    (folder / "f1_2.png").write_text("no picture")
    table, pictures, counts = run("ready-made")
    np.testing.assert_array_equal(pictures, [*ready, *generated[4:]])
    problems = ["wrong_size", "truncated", "not_a_picture", "missing"]
    assert counts["ready_made_rejected"] == dict.fromkeys(problems, 1)
    assert counts["operations"] == {"ready_made": 4, "face_warped": 4}
    assert table.operation.tolist() == ["ready_made"] * 4 + ["face_warped"] * 4
    notes = [f"landmarks_missing; ready_made_{problem}" for problem in problems]
    assert table.note.tolist() == ["", "", "", "", *notes]
    assert json.loads(table.amount[2]) == {"file": "f0_2.png"}


def test_ready_made_negatives_without_their_folder_are_an_error():
    write_faces(POINTS[None])
    with pytest.raises(PipelineError, match=r"face_dataaug_neg: no such folder.*set it to gener"):
        run("ready-made")
    assert not Path("manipulated").exists()
