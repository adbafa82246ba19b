"""The report as a whole: its order, its summary, and that it says everything that the stages found."""

from dataclasses import fields, replace
from typing import Any

import pytest

from pipeline import params, reporting, results
from pipeline.artifacts import read_json, write_json
from pipeline.document import Findings, Picture, Table, Text, Tiles, to_html, to_markdown
from pipeline.stages.report import _options
from tests.fake_results import build, command

ORIGIN = {"revision": "abc123", "versions": {"python": "3.11.7", "torch": "2.12.0"}}
PERTURBATIONS = ("jpeg_75", "jpeg_40", "crop_0.9")


def read(folder, generators=("sim_a", "sim_b"), perturbations=PERTURBATIONS):
    options = _options(command())
    paths = {field.name: getattr(options, field.name) for field in fields(results.Sources)}
    here: dict[str, Any] = {
        name: [folder / p for p in path] if name == "sheets" else folder / path for name, path in paths.items()
    }
    return results.read(results.Sources(**here), generators, perturbations)


@pytest.fixture
def built(tmp_path):
    build(tmp_path, {"sim_a": 30, "sim_b": 5}, faces=60, perturbations=PERTURBATIONS)
    return tmp_path


def change(folder, name, **content):
    write_json(folder / "metrics" / f"{name}.json", {**read_json(folder / "metrics" / f"{name}.json"), **content})


def report(folder, generators=("sim_a", "sim_b"), root="data/sample"):
    settings = params.load_all(folder / "params.yaml").model_dump(mode="json")
    return reporting.document(read(folder, generators), settings, ORIGIN, root)


def blocks(document, anchor, kind):
    return [
        block for section in document.sections if section.anchor == anchor for block in section.blocks if type(block) is kind
    ]


def test_the_summary_comes_first_and_everything_else_in_its_order(built):
    order = [
        "summary",
        "generators",
        "controls",
        "robustness",
        "confounds",
        "features",
        "calibration",
        "pretext",
        "data",
        "provenance",
    ]
    document = report(built)
    assert [section.anchor for section in document.sections] == order
    first = document.sections[0].blocks
    assert isinstance(first[0], Tiles) and isinstance(first[2], Findings)
    kinds = [item.kind for item in first[2].items]
    assert kinds.index("good") == kinds.count("warning") > 0 and first[1].text == "What to worry about"


def test_the_tiles_say_how_good_how_sure_and_whether_the_choice_holds(built):
    mean, worst = (read_json(built / "metrics/evaluation.json")[name] for name in ("mean", "worst"))
    rate = read_json(built / "metrics/calibration.json")["rates"]["at_5_percent"]
    tiles = blocks(report(built), "summary", Tiles)[0].tiles
    assert [tile.value for tile in tiles] == [
        f"{mean['auc']:.3f}", f"{worst['auc']:.3f}", f"{100 * mean['at_5_percent']['detection_rate']:.1f} %",
        f"{100 * rate['false_alarm_rate']:.1f} %",
    ]  # fmt: skip
    assert f"{mean['auc_low']:.3f}–{mean['auc_high']:.3f}" in tiles[0].remark and "ROC AUC of sim_b" in tiles[1].remark
    assert f"{100 * rate['exact_95']['low']:.1f}–{100 * rate['exact_95']['high']:.1f} %" in tiles[3].remark
    assert tiles[2].label == "Detected at 5 % false alarms"
    assert tiles[3].remark.endswith("Chosen 5 %: holds") and tiles[3].kind == "good"


def test_a_choice_that_does_not_hold_and_missing_intervals_show_in_the_tiles(built):
    calibration, evaluation = (read_json(built / f"metrics/{name}.json") for name in ("calibration", "evaluation"))
    calibration["rates"]["at_5_percent"]["verdict"] = "does not hold"
    evaluation["mean"] |= {"auc_low": None, "auc_high": None}
    change(built, "calibration", **calibration)
    change(built, "evaluation", **evaluation)
    tiles = blocks(report(built), "summary", Tiles)[0].tiles
    assert tiles[3].kind == "warning" and "does not hold" in tiles[3].remark and tiles[0].remark.startswith("no interval")


def test_every_finding_is_in_both_renderings(built):
    document = report(built)
    expected = ("real cameras", "iso missing", "abc123", "2.12.0", "learning_rate: 0.001", "photographic_fit", "2 truncated",
                "15,760 manipulated", "eyes too close", "exposure time", "converged after 14 iterations", "1,259",
                "JPEG 40", "shuffled EXIF tags", "4:2:0", "look this unusual", "too few faces", "upper left")  # fmt: skip
    for text in (to_html(document), to_markdown(document)):
        assert [word for word in expected if word not in text] == []
    assert len(blocks(document, "features", Picture)) == 4 and len(blocks(document, "data", Picture)) == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [(["sim_a", "sim_b"], "All generators are simulated"), (["sim_a", "sdxl"], "sim_a are simulated"), (["sdxl"], "")],
)
def test_the_banner_says_what_is_simulated(built, names, said):
    banner = reporting.banner(replace(read(built), metrics={name: {} for name in names}), "data/sample")
    assert said in banner and bool(banner) == bool(said)


def test_the_sample_is_not_shown_beside_real_data(tmp_path):
    build(tmp_path, {"sdxl": 9}, faces=20, perturbations=PERTURBATIONS)
    document = report(tmp_path, ["sdxl"], "data/mine")
    assert not document.banner
    assert [picture.alt for picture in blocks(document, "data", Picture)] == ["Contact sheet: manipulations."]


def test_an_absent_contact_sheet_is_left_out_with_a_sentence(built):
    (built / "metrics/manipulations.png").unlink()
    document = report(built)
    assert any("no contact sheet manipulations.png" in text.text for text in blocks(document, "data", Text))
    assert len(blocks(document, "data", Picture)) == 1


def test_warnings_of_the_fit_are_shown(built):
    change(built, "gmm", warnings=["held-out likelihood collapses"], converged=False)
    text = to_markdown(report(built))
    assert "- **Warning:** Mixture: held-out likelihood collapses" in text and "not converged" in text


def test_what_was_not_computed_of_the_pretext_task_is_a_dash_with_its_reason(built):
    pretext = read_json(built / "metrics/pretext.json")
    ranking = {**pretext["ranking_accuracy"], "iso": None, "mean": None}
    change(built, "pretext", ranking_accuracy=ranking, manipulation_auc=None, not_computed={"ranking_accuracy.iso": "no pair"})
    document = report(built)
    rows = {row[0]: row for row in blocks(document, "pretext", Table)[0].rows}
    assert rows["iso"][2] == rows["manipulation"][2] == rows["mean of the tags"][2] == "–"
    assert "Not computed: ranking_accuracy.iso: no pair." in [text.text for text in blocks(document, "pretext", Text)]


def test_no_rejected_face_and_no_landmark_truth(built):
    change(built, "exif", reasons={}, rejected=0)
    change(built, "manipulations", mouth_location_error_px={"faces": 0, "median": None, "p90": None}, unusable_landmarks={})
    document = report(built)
    assert len(blocks(document, "data", Table)) == 1
    assert "Only warped" not in to_markdown(document) and "mouth located" not in to_markdown(document)
