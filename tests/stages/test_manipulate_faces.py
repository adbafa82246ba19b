"""The stage on small faces written to disk: rows, bytes, reasons and counts."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, shards, tables
from pipeline.common.names import LANDMARK_COLUMNS
from pipeline.common.process_group import ProcessGroup
from pipeline.manipulation import landmarks, negatives
from pipeline.manipulation import operations as manipulations
from pipeline.stages import manipulate_faces

POINTS = np.array([64, 72, 52, 58, 76, 58, 38, 60, 90, 60, 10, 127, 118, 127], dtype=float)
PARAMS = "seed: 1\nmanipulation: {{source: {source}, warp_sigma: [0.04, 0.05], blend_ratios: [0.75, 1, 1, 1]}}\n"


def face_points(n: int) -> np.ndarray:
    return POINTS + np.random.default_rng(4).normal(0, 1, (n, 14))


def write_faces(folder: Path, n: int, points: np.ndarray | None = None) -> np.ndarray:
    images = np.random.default_rng(5).integers(0, 256, (n, 128, 128, 3), dtype=np.uint8)
    writer = shards.ShardWriter(folder, pictures_per_shard=50)
    writer.append(images)
    writer.close()
    points = face_points(n) if points is None else points
    columns = {"face_id": [f"f{i}" for i in range(n)], "row": range(n)} | dict(
        zip(LANDMARK_COLUMNS, points.T, strict=True)
    )
    artifacts.write_table(folder / "faces.parquet", pd.DataFrame(columns))
    return images


def run(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str = "generate",
    workers: int = 1,
    out: str = "manipulated",
):
    """Table, pictures and metrics of the stage."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PIPELINE_WORKERS", str(workers))
    Path("params.yaml").write_text(PARAMS.format(source=source))
    command = f"--faces faces --root sample --output {out} --metrics {out}.json --sheet {out}.png"
    manipulate_faces.main(command.split())
    table = artifacts.read_table(folder / out / "manipulated.parquet")
    return (
        table,
        shards.read_shards(folder / out)[:],
        json.loads((folder / f"{out}.json").read_text()),
    )


def points_68(mouth_shift: float = 0.0) -> np.ndarray:
    points = np.tile([64.0, 72.0], (68, 1))
    for part, centre, width in (
        ("right_eye", (52, 58), 5),
        ("left_eye", (76, 58), 5),
        ("mouth", (64, 84 + mouth_shift), 9),
    ):
        own = landmarks.POINTS_68[part]
        angle = np.linspace(0, 2 * np.pi, 1 + own.stop - own.start)[:-1]
        points[own] = np.array(centre) + np.stack(
            [width * np.cos(angle), 3 * np.sin(angle)], axis=1
        )
    return points


def test_rows_pictures_and_metrics_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    points = face_points(9)
    points[2] = np.nan
    points[5, 2:4] = points[5, 4:6]
    images = write_faces(tmp_path / "faces", 9, points)
    table, pictures, metrics = run(tmp_path, monkeypatch)
    assert (
        table.row.tolist() == list(range(36))
        and table.face_row.tolist() == np.repeat(np.arange(9), 4).tolist()
    )
    assert table.face_id.tolist() == np.repeat([f"f{i}" for i in range(9)], 4).tolist()
    assert list(table.columns) == ["face_id", "row", "face_row", "operation", "amount", "note"]
    assert table.operation[:4].tolist() == list(manipulations.OPERATIONS)
    assert table.operation[8:12].tolist() == ["face_warped"] * 4
    assert table.note[8:12].tolist() == ["landmarks_missing"] * 4 and set(table.note[20:24]) == {
        "eyes_coincide"
    }
    regions = landmarks.regions_from_seven(points, 128)
    amounts = manipulations.draw_amounts(
        1,
        [f"f{i}" for i in range(9)],
        side=128,
        warp_sigma=(0.04, 0.05),
        blend_ratios=[0.75, 1, 1, 1],
    )
    expected = manipulations.apply_all(torch.from_numpy(images), regions, amounts)
    np.testing.assert_array_equal(pictures, expected.reshape(-1, 128, 128, 3).numpy())
    assert metrics == {
        "faces": 9,
        "manipulated": 36,
        "operations": {
            "mouth_turned": 7,
            "mouth_mirrored": 7,
            "eye_mirrored": 7,
            "face_warped": 15,
        },
        "unusable_landmarks": {"landmarks_missing": 1, "eyes_coincide": 1},
        "landmarks_68": 0,
        "landmarks_68_rejected": {},
        "ready_made_rejected": {},
        "mouth_location_error_px": {"faces": 0, "median": None, "p90": None},
    }
    assert Image.open(tmp_path / "manipulated.png").width > 500
    assert json.loads(table.amount[0])["box"] == regions.boxes[0, 0].tolist()


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_faces(tmp_path / "faces", 150)
    for workers in (1, 2):
        run(tmp_path, monkeypatch, workers=workers, out=f"out{workers}")
    files = sorted(path.name for path in (tmp_path / "out1").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "out2").iterdir())
    for name in files:
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()
    assert (tmp_path / "out1.json").read_bytes() == (tmp_path / "out2.json").read_bytes()
    assert (tmp_path / "out1.png").read_bytes() == (tmp_path / "out2.png").read_bytes()


def test_68_landmarks_are_preferred_and_bad_ones_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    points = np.tile(POINTS, (7, 1))
    points[6] = np.nan  # only its 68 landmarks are usable
    write_faces(tmp_path / "faces", 7, points)
    folder = tmp_path / "sample/SSL_training_data/FDF/data/fdf/landmarks"
    folder.mkdir(parents=True)
    np.save(folder / "f0.npy", points_68(3))
    np.save(folder / "f1.npy", points_68()[:67])
    np.save(folder / "f2.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.save(folder / "f3.npy", np.full((68, 2), np.nan))
    (folder / "f4.npy").write_bytes((folder / "f0.npy").read_bytes()[:300])
    np.save(folder / "f5.npy", np.full((68, 2), "a"))
    np.save(folder / "f6.npy", points_68())
    table, _, metrics = run(tmp_path, monkeypatch)
    assert metrics["landmarks_68"] == 2
    assert metrics["landmarks_68_rejected"] == {
        "wrong_shape": 1,
        "unreadable": 2,  # a pickle inside, and a file cut short
        "landmarks_missing": 1,
        "not_numbers": 1,
    }
    assert metrics["unusable_landmarks"] == {}
    assert metrics["mouth_location_error_px"] == {"faces": 1, "median": 3.0, "p90": 3.0}
    exact, located = (
        landmarks.regions_from_68(points_68(3)[None], 128),
        landmarks.regions_from_seven(POINTS[None], 128),
    )
    assert json.loads(table.amount[0])["box"] == exact.boxes[0, 0].tolist()
    assert json.loads(table.amount[4])["box"] == located.boxes[0, 0].tolist()


def test_ready_made_negatives_replace_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    points = np.tile(POINTS, (2, 1))
    points[1] = np.nan
    write_faces(tmp_path / "faces", 2, points)
    _, generated, _ = run(tmp_path, monkeypatch)
    folder = tmp_path / "sample/SSL_training_data/FDF/data/face_dataaug_neg"
    folder.mkdir(parents=True)
    ready = np.random.default_rng(6).integers(0, 256, (4, 128, 128, 3), dtype=np.uint8)
    for k in range(4):
        Image.fromarray(ready[k]).save(folder / f"f0_{k}.png")
    Image.fromarray(ready[0][:64]).save(folder / "f1_0.png")
    (folder / "f1_1.png").write_bytes((folder / "f0_1.png").read_bytes()[:2000])
    (folder / "f1_2.png").write_text("no picture")
    table, pictures, metrics = run(tmp_path, monkeypatch, "ready-made")
    np.testing.assert_array_equal(pictures[:4], ready)
    np.testing.assert_array_equal(pictures[4:], generated[4:])
    assert metrics["ready_made_rejected"] == {
        "missing": 1,
        "not_a_picture": 1,
        "truncated": 1,
        "wrong_size": 1,
    }
    assert metrics["operations"] == {"ready_made": 4, "face_warped": 4}
    assert table.operation.tolist() == ["ready_made"] * 4 + ["face_warped"] * 4
    assert table.note.tolist()[3:6] == [
        "",
        "landmarks_missing; ready_made_wrong_size",
        "landmarks_missing; ready_made_truncated",
    ]
    assert json.loads(table.amount[2]) == {"file": "f0_2.png"}


def test_ready_made_without_their_folder_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_faces(tmp_path / "faces", 1)
    with pytest.raises(
        PipelineError, match=r"face_dataaug_neg: no such folder.*set it to generate"
    ):
        run(tmp_path, monkeypatch, "ready-made")
    assert not (tmp_path / "manipulated").exists()


def test_a_wrong_parameter_stops_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_faces(tmp_path / "faces", 1)
    with pytest.raises(PipelineError, match=r"params.yaml(.|\n)*manipulation.source = 'guess'"):
        run(tmp_path, monkeypatch, "guess")


def test_old_pictures_do_not_survive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "manipulated").mkdir()
    (tmp_path / "manipulated/pixels-00007.npy").write_bytes(b"old")
    write_faces(tmp_path / "faces", 1)
    _, pictures, _ = run(tmp_path, monkeypatch)
    assert len(pictures) == 4


def test_the_table_is_written_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr(tables, "ROWS_PER_GROUP", 8)
    monkeypatch.setattr(manipulate_faces, "CHUNK", 3)
    write_faces(tmp_path / "faces", 7)
    table, _, _ = run(tmp_path, monkeypatch)
    assert table.row.tolist() == list(range(28))
    assert pq.ParquetFile(tmp_path / "manipulated/manipulated.parquet").num_row_groups == 4


@given(st.integers(0, 2000), st.integers(1, 9))
def test_the_processes_share_all_chunks_in_order(faces: int, count: int):
    own = [manipulate_faces._own(faces, ProcessGroup(rank, count)) for rank in range(count)]
    assert [start for starts in own for start in starts] == list(
        range(0, faces, manipulate_faces.CHUNK)
    )
    assert max(map(len, own)) - min(map(len, own)) <= 1


def test_summaries_of_several_processes_add_up_to_that_of_one():
    random, whole, parts = np.random.default_rng(8), negatives.Summary(), []
    for part in range(3):
        parts.append(negatives.Summary())
        for number in range(2):
            first = 8 * part + 4 * number
            chunk: Any = SimpleNamespace(rows=np.arange(first, first + 4) + 100, first_face=first)
            counts = Counter(
                {("operations", "face_warped"): first, ("unusable_landmarks", f"reason {part}"): 1}
            )
            errors, edited = random.random(3).tolist(), np.array([True, False, part > 0, False])
            result = negatives.Negatives(
                np.zeros((0, 8, 8, 3), np.uint8), {}, counts, errors, edited
            )
            whole.add(chunk, result)
            parts[-1].add(chunk, result)
    sent = [negatives.Summary.from_json(part.to_json()) for part in parts]
    total = sum(sent[1:], sent[0])
    assert (
        total.metrics() == whole.metrics()
        and whole.metrics()["mouth_location_error_px"]["faces"] == 18
    )
    assert (
        total.sheet
        == whole.sheet
        == [[100, 0], [104, 4], [108, 8], [110, 10], [112, 12], [114, 14]]
    )
