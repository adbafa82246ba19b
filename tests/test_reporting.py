"""What the report concludes, and that it says everything that the stages found."""

import json
from dataclasses import replace

import pytest

from pipeline import params, reporting, results, wording
from pipeline.artifacts import read_json, write_json
from pipeline.document import Picture, Table, Text, Tiles, to_html, to_markdown
from tests.fake_results import build

ORIGIN = {"revision": "abc123", "versions": {"python": "3.11.7", "torch": "2.12.0"}}
FOLDERS = ("features", "generators", "roc", "histograms")
TEST = {"test_faces": 400, "false_alarms": 21, "false_alarm_rate": 0.0525}


def read(folder, generators=("sim_a", "sim_b")):
    metrics = folder / "metrics"
    files = {name: metrics / f"{name}.json" for name in ("exif", "manipulations", "pretext", "gmm", "calibration")}
    files |= {name: metrics / name for name in FOLDERS}
    files |= {"tags": metrics / "exif_tags.csv", "history": metrics / "pretext_history.csv", "pictures": metrics / "faces"}
    return results.read(results.Sources(**files, sheets=[metrics / "sample.png", metrics / "manipulations.png"]), generators)


@pytest.fixture
def built(tmp_path):
    build(tmp_path, {"sim_a": 30, "sim_b": 5}, faces=60)
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


def test_the_summary_shows_each_generator_and_the_mean_as_written(built):
    document = report(built)
    table = blocks(document, "results", Table)[0]
    rows = {row[0]: row for row in table.rows}
    assert list(rows) == ["sim_a", "sim_b", "mean"] and table.last_is_total
    content = json.loads((built / "metrics/generators/sim_a.json").read_text())
    paper = content["paper_protocol"]
    assert rows["sim_a"][1:5] == ["60", *(f"{content[key]:.3f}" for key in ("auc", "ap_generated", "ap_photographic"))]
    assert rows["sim_a"][5:8] == [f"{100 * content[key]:.1f} %" for key in ("accuracy", "false_alarm_rate", "detection_rate")]
    assert rows["sim_a"][8:] == [f"{100 * paper[key]:.1f} %" for key in ("accuracy", "false_alarm_rate", "detection_rate")]
    assert table.full_head[5] == "calibrated threshold: accuracy" and table.full_head[8] == "paper_protocol: accuracy"
    auc = blocks(document, "results", Tiles)[0].tiles[0]
    assert auc.value == rows["mean"][2] and "sim_b" in auc.remark


def test_every_finding_is_in_both_renderings(built):
    document = report(built)
    expected = ("real cameras", "iso missing", "abc123", "2.12.0", "learning_rate: 0.001", "photographic_fit", "2 truncated",
                "15,760 manipulated", "eyes too close", "exposure time", "converged after 14 iterations", "1,259")  # fmt: skip
    for text in (to_html(document), to_markdown(document)):
        assert [word for word in expected if word not in text] == []
    assert len(blocks(document, "faces", Picture)) == 2 and len(blocks(document, "data", Picture)) == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [(["sim_a", "sim_b"], "All generators are simulated"), (["sim_a", "sdxl"], "sim_a are simulated"), (["sdxl"], "")],
)
def test_the_banner_says_what_is_simulated(built, names, said):
    banner = reporting.banner(replace(read(built), roc={name: {} for name in names}), "data/sample")
    assert said in banner and bool(banner) == bool(said)


def test_the_sample_is_not_shown_beside_real_data(tmp_path):
    build(tmp_path, {"sdxl": 9}, faces=20)
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
    document = report(built)
    assert [text.kind for text in blocks(document, "mixture", Text)] == ["warning"]
    assert "not converged" in to_markdown(document)


def test_what_was_not_computed_is_a_dash_with_its_reason(built):
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


def limits(within, low=0.02, high=0.08):
    return {"low": low, "high": high, "within": within}


@pytest.mark.parametrize(
    ("binomial", "wide", "good", "said"),
    [
        (True, True, True, "compatible with the choice"),
        (False, True, True, "more of them would make it sharper"),
        (False, False, False, "does not hold"),
    ],
)
def test_the_verdict_on_the_false_alarm_rate(binomial, wide, good, said):
    test = {**TEST, "binomial_99": limits(binomial), "beta_binomial_99": limits(wide)}
    text, verdict = wording.verdict_of_rate(test, 0.05)
    assert verdict == good and said in text
    assert "Chosen: 5.0 % false alarms. Achieved on 400 test photographs: 5.2 % (21)" in text and "2.0 % and 8.0 %" in text


@pytest.mark.parametrize(("auc", "alike"), [(0.5, True), (0.55, True), (0.56, False), (0.44, False)])
def test_the_verdict_on_photographs_against_photographs(auc, alike):
    calibration = {"real_against_real_auc": auc, "real_against_real_auc_standard_error": 0.02}
    text, verdict = wording.verdict_of_real_against_real(calibration)
    assert verdict == alike and f"{auc:.3f} ± 0.020" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.0 %"), (0.05, "5.0 %"), (0.001, "0.10 %"), (0.009949, "0.99 %"), (0.00999, "1.0 %"), (1, "100.0 %")],
)
def test_percent(value, text):
    assert wording.percent(value) == text


def test_numbers():
    assert wording.number(-1234.5678, 1) == "−1,234.6" and wording.plural(1, "epoch") == "1 epoch"
    assert wording.plural(2000, "face") == "2,000 faces" and wording.cell(float("nan")) == wording.cell(None) == "–"
