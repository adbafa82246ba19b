"""Other tags than the four, by params.yaml alone, from records to an encoder: one is not there, one
is new, one never varies, and some faces lack some.
"""

from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.base import processes
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.encoder.checkpoints import load_encoder, read_metadata
from pipeline.stages import filter_exif, manipulate_faces, train_pretext
from tests import pretext_world
from tests.exif_world import BOUNDS, BRIGHTNESS
from tests.stages.test_filter_exif import GOOD, World

TAGS = {
    "brightness": BRIGHTNESS | {"name": "Brightness Value"},
    "f_number": list(BOUNDS["f_number"]),
    "iso": list(BOUNDS["iso"]),
}
TRAIN = (
    "--faces faces --manipulated manipulated --encoder out/encoder.safetensors "
    "--details out/details.json --metrics out/metrics.json --history out/history.csv"
)


def params(require: str) -> dict:
    yaml = YAML(typ="safe")
    given = yaml.load(pretext_world.PARAMS)
    given["pretext"]["loss_weights"] = {**dict.fromkeys(TAGS, 1), "manipulation": 1}
    given["exif"] = {"source": "fdf", "face_detector": "centerface", "photographer_pattern": ""}
    given["exif"] |= {"licenses": [], "reject": [], "require": require, "tags": TAGS}
    given["split"] = {"validation": 0.3, "calibration": 0.4}
    manipulation = {"source": "generate", "warp_sigma": [0.04, 0.05], "blend_ratios": [1]}
    return given | {"manipulation": manipulation}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """30 faces: brightness varies, all are at F2.8, every third lacks its ISO speed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    made = World(tmp_path / "sample")
    for i in range(30):
        record = GOOD | {"Brightness Value": f"{i % 7 - 3} EV"}
        record["ISO Speed Ratings"] = None if i % 3 == 0 else str(100 * 2 ** (i % 5))
        made.add(str(i), f"p{i}", author=f"a{i}", record=record)
    made.save()
    return made


def run(require: str) -> None:
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params(require), file)
    filter_exif.main(["--root", "sample", "--output", "faces"])
    manipulate_faces.main(["--root", "sample", "--faces", "faces", "--output", "manipulated"])
    train_pretext.main(TRAIN.split())


def test_a_further_tag_is_configuration_alone(world, capsys):
    run("any")
    table, counts = (
        artifacts.read_table("faces/faces.parquet"),
        artifacts.read_json("faces/exif.json"),
    )
    assert list(table)[-3:] == list(TAGS) and len(table) == 30
    assert table["brightness"].tolist() == [i % 7 - 3 for i in range(30)]
    assert table["iso"].isna().tolist() == [i % 3 == 0 for i in range(30)]
    assert counts["lacking"]["iso_missing"]["count"] == 10
    assert [(tag["name"], tag["faces"]) for tag in counts["tags"]] == [
        *(("brightness", 30), ("f_number", 30), ("iso", 20))
    ]
    train = (table["split"] == "train").sum()
    said = capsys.readouterr()
    assert f"f_number: 2.8 for all {train} training faces that have it, so" in said.err
    assert "kept, but iso_missing" in said.out
    encoder, _ = load_encoder(Path("out/encoder.safetensors"))
    assert encoder.head_names == ("brightness", "iso", "manipulation")
    assert read_metadata(Path("out/encoder.safetensors"))["tags"] == ["brightness", "iso"]
    metrics, details = (artifacts.read_json(f"out/{name}.json") for name in ("metrics", "details"))
    assert set(metrics["ranking_accuracy"]) == {"brightness", "iso", "mean"}
    values = table.loc[table["split"] == "validation", "brightness"].to_numpy()
    tied = (values[:, None] == values)[np.triu_indices(len(values), 1)]
    assert metrics["tie_rate"]["brightness"] == pytest.approx(tied.mean())
    assert list(details["no_head"]) == ["f_number"]
    assert all(np.isfinite(value) for value in details["losses"]["train"].values())


def test_all_is_the_rule_that_rejects_what_lacks_one(world):
    run("all")
    counts = artifacts.read_json("faces/exif.json")
    assert counts["reasons"] == {"iso_missing": 10} and counts["lacking"] == {}
    assert not artifacts.read_table("faces/faces.parquet").isna()[list(TAGS)].any(axis=None)


def test_a_name_that_photographs_cannot_have_stops_before_any_work(world, monkeypatch):
    given = params("any")
    given["exif"] |= {"source": "photos", "tags": {"x": BRIGHTNESS | {"name": "Brightnes"}}}
    given["pretext"]["loss_weights"] = {"x": 1, "manipulation": 1}
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(given, file)
    monkeypatch.setattr(processes, "parallel", None)
    with pytest.raises(PipelineError, match=r"'Brightnes' is no tag .* such as BrightnessValue"):
        filter_exif.main(["--root", "sample", "--output", "faces"])
