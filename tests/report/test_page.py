"""What the page says for given results, and that it is one file without outside help."""

import io
import re
from copy import deepcopy
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from pipeline.common.artifacts import encode_png
from pipeline.report import page
from pipeline.report.figures.canvas import Canvas
from tests.report import world
from tests.report.world import REVIEW, Reader


@pytest.fixture(scope="session")
def text(once):
    return world.html(once)


@pytest.fixture(scope="session")
def reader(text):
    return Reader(text)


def read(results):
    """The page without its figures, which take most of the time."""
    with patch.object(Canvas, "panel", return_value="<svg></svg>"):
        return Reader(world.html(results))


# --- one file


def test_the_same_results_give_the_same_bytes(once, text):
    assert world.html(once) == text


def test_the_page_asks_nothing_of_a_network(text):
    assert set(re.findall(r'(?:src|href)="([^"#]{1,12})', text)) == {"data:image/w", "data:,"}
    links = set(re.findall(r'\bhref="#([^"]+)"', text))
    assert links <= set(re.findall(r'\bid="([^"]+)"', text))
    addresses = set(re.findall(r"https?://[^\"'\s<]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"@import|url\((?!#)", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 50


def test_markup_in_results_stays_text(results):
    results.generators["sim_latent"]["cautions"] = ["<script>alert(1)</script> & more"]
    html = world.html(results)
    assert "<script>alert" not in html and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; mo" in html


def test_pictures_are_smaller_in_the_page_and_look_the_same():
    rng = np.random.default_rng(0)
    smooth = np.asarray(
        Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8)).resize((240, 90))
    )
    png = encode_png(smooth)
    shown = page.picture(png)
    content = page.base64.b64decode(shown["src"].removeprefix("data:image/webp;base64,"))
    assert (shown["width"], shown["height"]) == (240, 90) and len(content) < len(png) / 2
    again = np.asarray(Image.open(io.BytesIO(content)), dtype=float)
    assert np.abs(again - smooth).mean() < 5


# --- what it says


def test_it_begins_with_what_to_worry_about(reader):
    assert reader.said["h2"][:3] == ["Summary", "Per generator", "Calibration"]
    assert reader.said["h3"][0] == "What to worry about"
    assert reader.said["warning"][0].startswith("Warning Chosen false alarm rate 5 %: exceeds")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["sim_latent", "sim_rolloff"], "All generators are simulated"),
        (["sim_latent", "sdxl"], "sim_latent are simulated"),
        (["sdxl", "flux"], ""),
    ],
)
def test_the_banner_says_what_is_simulated(results, names, words):
    old = dict(zip(names, world.GENERATORS, strict=True))
    harmonised = results.confounds["harmonised"]["generators"]
    metadata = results.confounds["metadata_classifier"]["generators"]
    for parts in (harmonised, metadata, results.confounds["bytes_per_pixel_auc"]):
        parts |= {name: parts[old[name]] for name in names}
    changed = replace(
        results,
        generators={name: results.generators[old[name]] for name in names},
        robustness={},
        explained={name: [] for name in names},
        explanations=dict.fromkeys(names, results.manipulated),
        faces=dict.fromkeys(names, results.manipulated),
    )
    (banner,) = read(changed).said.get("banner", [""])
    assert words in banner and bool(banner) == bool(words)


def test_the_tiles_say_how_good_how_sure_and_whether_the_rate_is_kept(results):
    results.table["mean"] |= {"auc_low": None, "auc_high": None}
    results.calibration["rates"][REVIEW]["verdict"] = "consistent with the chosen rate"
    reader = read(results)
    assert reader.said["value"] == ["0.444", "0.350", "29.2 %", "26.7 %"]
    remarks = reader.said["remark"]
    assert remarks[0].startswith("no interval; mean of 2 generators")
    assert remarks[1] == "95 % interval 0.166–0.570; sim_rolloff"
    assert remarks[3].endswith(
        "8 of 30 test photographs. Chosen 10 %: consistent with the chosen rate"
    )


def test_the_table_of_generators_has_every_measure_with_its_interval(once, reader):
    table = reader.table("Every generator")
    assert list(table.rows) == ["sim_latent", "sim_rolloff", "mean"]
    for name, part in once.generators.items():
        cells = table.rows[name]
        paths = [("auc",), ("ap_generated",), ("ap_photographic",)]
        for cell, (measure,) in zip(cells[1:4], paths, strict=True):
            value, low, high = (part[key][measure] for key in ("values", "low", "high"))
            assert cell == f"{value:.3f} ({low:.3f}–{high:.3f})"
        detected = part["values"]["paper_protocol"]["detection_rate"]
        assert cells[0] == "12" and cells[-1].startswith(f"{100 * detected:.1f} % (")
    assert table.rows["mean"][1].startswith(f"{once.table['mean']['auc']:.3f} (")
    assert "(" not in table.rows["mean"][2], "no interval is computed of this mean"


def test_what_has_no_interval_is_a_number_alone_and_the_reason_stands_below(results):
    part = results.generators["sim_latent"]
    part["low"]["auc"] = part["high"]["auc"] = part["values"]["eer"] = None
    part["not_computed"] = {"auc interval": "one face"}
    reader = read(results)
    cells = reader.table("Every generator").rows["sim_latent"]
    assert cells[1] == "0.539" and cells[4].startswith("–")
    assert "Not computed for sim_latent: auc interval: one face" in reader.said["warning"]


def test_verdicts_of_photographs_come_from_their_false_alarms(once, reader):
    rows = reader.table("Faces by verdict").rows
    assert rows["photographs (test)"] == ["22 (73.3 %)", "0 (0.0 %)", "8 (26.7 %)"]
    counts = once.generators["sim_rolloff"]["verdicts"]
    expected = [f"{counts[verdict]} " for verdict in ("pass", "review", "flag")]
    assert [cell.split("(")[0] for cell in rows["sim_rolloff"]] == expected


def test_calibration_says_what_was_chosen_achieved_and_expected(reader):
    rows = reader.table("False alarms on test photographs").rows
    assert list(rows) == ["flag", "review", "paper_protocol"]
    assert rows["flag"][:2] == ["exceeds the chosen rate (few calibration photographs)", "5 %"]
    assert rows["flag"][3:] == ["26.7 % (7.8–55.1 %)", "8 of 30", "0.16–20.6 %", "299"]


def test_each_history_has_its_rates_thresholds_and_detection(results):
    calibration = results.calibration
    assert not [t for t in read(results).tables if "with each history" in t.caption]
    calibration["histories"]["jpeg_75"] = deepcopy(calibration["histories"]["none"])
    calibration["histories"]["noise_2"] = deepcopy(calibration["histories"]["none"])
    calibration["histories"]["jpeg_75"][REVIEW] |= {
        "false_alarm_rate": 0.1, "exact_95": {"low": 0.05, "high": 0.2}, "own_threshold": 7.5,
        "verdict": "consistent with the chosen rate",
    }  # fmt: skip
    table = read(results).table("with each history")
    assert list(table.rows) == ["as they are", "JPEG 75", "noise σ 2"]
    detected = results.robustness["jpeg_75"]["mean"][REVIEW]["perturbed"]
    assert table.rows["JPEG 75"][1:4] == [
        "10.0 % (5.0–20.0 %)", "consistent with the chosen rate", f"{100 * detected:.1f} %"
    ]  # fmt: skip
    assert table.rows["JPEG 75"][-1] == "7.50" and table.rows["noise σ 2"][3] == "–"


def test_both_sides_are_said_and_counted(results):
    results.calibration["sides"] = "both"
    results.calibration["rates"][REVIEW]["too_typical"] = 3
    results.generators["sim_latent"]["too_typical"] = 2
    reader = read(results)
    rows = reader.table("Faces by verdict").rows
    assert (rows["photographs (test)"][-1], rows["sim_latent"][-1]) == ("3", "2")
    assert any("Both sides count" in text for text in reader.said["p"])


def test_controls_that_came_out_too_high_are_marked(reader):
    table = reader.table("Controls, with")
    assert [table.rows[name][3] for name in table.marked] == [
        "suspicious", "suspicious", "not below the detector", "not below the detector",
    ]  # fmt: skip
    assert len(table.rows) == 10 and next(iter(table.rows)) == "this detector"
    by_generator = reader.table("ROC AUC per generator").rows
    assert by_generator["sim_latent"][:2] == ["0.333", "0.444"]


def test_a_control_that_could_not_be_computed_is_a_dash_with_its_reason(results):
    row = results.controls["controls"][1]
    row |= {"auc": None, "low": None, "high": None, "generators": {"sim_latent": 0.5}}
    row |= {"judged": "not computed", "detail": "no faces", "left_out": {"sim_rolloff": "one face"}}
    reader = read(results)
    cells = reader.table("Controls, with").rows[row["title"]]
    assert cells[0] == "–" and cells[3:5] == ["not computed", "No faces."]
    assert reader.table("ROC AUC per generator").rows["sim_rolloff"][1] == "–"
    words = "Left out: sim_rolloff: one face. The means are over the others."
    assert words in reader.said["warning"]


def test_robustness_lists_clean_faces_and_every_perturbation(once, reader):
    table = reader.table("as if every face showed another person")
    assert list(table.rows) == ["clean", "JPEG 75", "blur σ 1"]
    part = once.robustness["blur_1"]["generators"]["sim_rolloff"][REVIEW]["perturbed"]
    assert table.rows["blur σ 1"][2].startswith(f"{100 * part['detection_rate']:.1f} % (")


def test_formats_list_photographs_first_and_results_in_both_states(results):
    files = results.confounds["sets"]["photographic_fit"]
    files |= {"formats": {"PNG": 8, "JPEG": 50}, "chroma_subsampling": {"4:2:0": 50}}
    files |= {"width": {"min": 80, "median": 88, "max": 96}}
    files |= {"height": {"min": None, "median": None, "max": None}, "bytes_per_pixel": None}
    nothing = {"value": None, "low": None, "high": None}
    results.confounds["harmonised"]["generators"]["sim_latent"]["auc"]["harmonised"] = nothing
    results.confounds["harmonised"]["mean"]["auc"]["harmonised"] = None
    results.confounds["not_computed"] = {"harmonised figures": "too few faces"}
    reader = read(results)
    rows = reader.table("The files of each face set").rows
    assert list(rows)[:3] == [f"photographic_{part}" for part in ("calibration", "fit", "test")]
    fit = rows["photographic_fit"]
    assert fit[:6] == ["JPEG (50), PNG (8)", "88x88 (58)", "88 (80–96)", "–", "–", "4:2:0 (50)"]
    assert fit[8] == "–"
    found = reader.table("The metadata classifier sees").rows
    assert found["sim_latent"][:2] == ["0.333 (0.000–0.667)", "–"] and found["mean"][1] == "–"
    assert "Not computed: harmonised figures: too few faces" in reader.said["warning"]


def test_explained_faces_say_what_deviates_in_words(results):
    first, second, *_ = results.explained["sim_latent"]
    first |= {"deviating_head": "iso", "p_value": 0.0021, "anomaly_score": 80.21}
    first |= {"nearest": [{"name": "data/a/0_1.png", "distance": 3.25}]}
    first["head_z"]["iso"] = -2.52
    second |= {"deviating_head": None, "nearest": []}
    second["covered"] = {"largest_drop": -0.5, "where": "nowhere"}
    one, other = list(read(results).table("faces of sim_latent in figures").rows.values())[:2]
    words = "no more than about 0.21 % of photographs look this unusual (anomaly score 80.2)"
    assert one[0] == words and one[2] == "ISO: z = −2.5" and one[4] == "0_1.png (distance 3.25)"
    assert other[2:] == ["–", "nowhere (by −0.5)", "–"]


def test_heads_and_pictures_of_each_generator_are_shown(results, reader):
    results.generators["sim_latent"]["head_z"]["iso"] = None
    assert read(results).table("Mean output of each head").rows["sim_latent"][0] == "–"
    assert [alt.split(",")[0] for alt in reader.images] == [
        "Explained faces of sim_latent.", "Explained faces of sim_rolloff.",
        "Faces of sim_latent", "Faces of sim_rolloff",
        "Examples of the manipulations.", "Examples of the simulated data.",
    ]  # fmt: skip


def test_no_map_and_no_perturbation_are_said(results):
    empty = replace(results, robustness={}, projection=results.projection.iloc[:0])
    reader = read(empty)
    words = "There is no map of the features: too few faces, or all alike."
    assert words in reader.said["warning"]
    assert any(text.startswith("No perturbation was asked for") for text in reader.said["p"])


def test_data_say_what_was_left_out_and_passed_over(results):
    results.listing["sets"]["sim_latent"]["left_out"] = {
        "not_a_picture": {"count": 1200, "first": "data/x.png", "cause": "a PDF"},
        "empty": {"count": 1, "first": "data/y.png"},
    }
    results.listing["passed_over"] = {"hidden": {"count": 2, "first": ".z"}}
    results.exif["reasons"] = {"iso_missing": 1, "edited": 3}
    results.exif["first"] = {"iso_missing": "<b>.jpg", "edited": "c.jpg: Software = 'GIMP'"}
    results.manipulations["unusable_landmarks"] = {"eyes_too_close": 3}
    results.manipulations["mouth_location_error_px"] = {"faces": 120, "median": 1.94, "p90": 3.4}
    reader = read(results)
    left = "1,200 not a picture (first: data/x.png: a PDF); 1 empty (first: data/y.png)"
    assert reader.table("Face sets:").rows["sim_latent"][-1] == left
    said = " ".join(reader.said["p"])
    assert "Passed over: 2 hidden (first: .z)." in said
    assert "for want of landmarks: eyes too close (3)." in said and "off by 1.9 px" in said
    rows = reader.table("by reason").rows
    assert list(rows) == ["edited", "iso missing"]
    assert [row[-1] for row in rows.values()] == ["c.jpg: Software = 'GIMP'", "<b>.jpg"]


def test_what_was_not_computed_of_the_pretext_task_is_a_dash_with_its_reason(results):
    results.pretext["ranking_accuracy"]["iso"] = results.pretext["manipulation_auc"] = None
    results.pretext["not_computed"] = {"ranking_accuracy.iso": "no pair"}
    reader = read(results)
    rows = reader.table("validation faces").rows
    assert rows["iso"][1] == rows["manipulation"][1] == "–" and rows["total"][1] == ""
    assert "Not computed: ranking_accuracy.iso: no pair." in reader.said["warning"]


def test_other_tags_and_heads_that_are_left_out_are_shown(results):
    for figures in (results.pretext["ranking_accuracy"], *results.pretext["losses"].values()):
        del figures["f_number"]
        figures["brightness"] = 0.75
    results.pretext["tie_rate"] = {"iso": 0.125, "brightness": None}
    results.pretext["no_head"] = {"f_number": "1.8 for all 53 training faces that have it"}
    for generator in results.generators.values():
        del generator["head_z"]["f_number"]
        generator["head_z"]["sun_elevation"] = 1.5
    results.explained["sim_latent"][0] |= {"deviating_head": "sun_elevation"}
    results.explained["sim_latent"][0]["head_z"] = {"sun_elevation": 2.5}
    results.exif["lacking"] = {"iso_missing": {"count": 7, "first": "12"}}
    results.exif["tags"] = [{"name": "iso", "faces": 51}, {"name": "brightness", "faces": 58}]
    reader = read(results)
    rows = reader.table("validation faces").rows
    shown = ["iso", "exposure time", "focal length", "brightness", "mean", "manipulation", "total"]
    assert list(rows) == shown and rows["iso"][2] == "12.5 %"
    assert rows["brightness"][1:3] == ["0.750", "–"] and rows["manipulation"][2] == ""
    said = "No head: f number: 1.8 for all 53 training faces that have it."
    assert said in reader.said["warning"]
    assert "sun elevation: z = 2.5" in str(reader.table("explained faces of sim_latent").rows)
    assert reader.table("Mean output of each head").head[-2:] == ["sun elevation", "manipulation"]
    said = " ".join(reader.said["p"])
    assert "7 iso missing (first: 12). Faces with iso: 51, brightness: 58." in said


def test_warnings_of_the_fit_and_provenance_are_shown(results):
    results.gmm["warnings"] = ["unseen photographs are unlikely"]
    results.gmm["mixtures"]["features"]["converged"] = False
    reader = read(results)
    assert "Unseen photographs are unlikely." in reader.said["warning"]
    assert reader.table("The Gaussian mixture").rows["EM"] == ["not converged after 3 iterations"]
    assert reader.table("The same revision").rows == {"code": ["abc123"], "numpy": ["2.0"]}


def test_parameters_are_valid_yaml_with_short_lines():
    from ruamel.yaml import YAML

    content = {
        "a": {"b": [1, 2], "c": 1e-6, "d": "x: y"},
        "names": [f"name_{i}" for i in range(40)],
    }
    text = page.as_yaml(content)
    assert YAML(typ="safe").load(text) == content and max(map(len, text.splitlines())) <= 100
