"""The sections: what each table says for given results, and what a reader is warned of."""

from copy import deepcopy
from dataclasses import replace

import pytest
from pipeline.report.document import Cell, Heading, Panels, Picture, Table, Text
from pipeline.report.sections import (
    calibration,
    confounds,
    feature_space,
    generators,
    robustness,
    worries,
)

from pipeline.report.figures.canvas import Drawings
from tests.fake_results import build
from tests.test_reporting import PERTURBATIONS, read


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    build(folder, {"sim_a": 30, "sim_b": 5}, faces=60, perturbations=PERTURBATIONS, suspicious=None)
    return read(folder)


@pytest.fixture
def found(made):
    return deepcopy(made)


def tables(blocks):
    return [block for block in blocks if isinstance(block, Table)]


def said(items, kind="warning"):
    return [item.text for item in items if item.kind == kind]


# --- per generator


def test_the_table_shows_every_measure_with_its_interval(found):
    table = tables(generators.section(found, Drawings()))[0]
    rows = {row[0]: row for row in table.rows}
    assert list(rows) == ["sim_a", "sim_b", "mean"] and table.last_is_total and table.sortable
    values, low, high = (found.metrics["sim_a"][part] for part in ("values", "low", "high"))
    auc = rows["sim_a"][2]
    assert auc == Cell(f"{values['auc']:.3f}", f"{low['auc']:.3f}–{high['auc']:.3f}", values["auc"])
    names = table.full_head
    for name, path in {
        "without a threshold: AP, photographic": ("ap_photographic",), "without a threshold: EER": ("eer",),
        "detected at false alarms of: 1 %": ("at_1_percent", "detection_rate"),
        "at 5 % false alarms: balanced accuracy": ("at_5_percent", "balanced_accuracy"),
        "paper_protocol: detected": ("paper_protocol", "detection_rate"),
        "paper_protocol: false alarms": ("paper_protocol", "false_alarm_rate"),
    }.items():  # fmt: skip
        expected = generators._dig(values, path)
        assert rows["sim_a"][names.index(name)].value == expected
        assert rows["mean"][names.index(name)].value == generators._dig(
            found.evaluation["mean"], path
        )


def test_what_has_no_interval_is_a_number_alone_and_the_reason_stands_below(found):
    found.metrics["sim_a"]["low"]["auc"] = found.metrics["sim_a"]["high"]["auc"] = None
    found.metrics["sim_a"]["values"]["eer"] = None
    found.metrics["sim_a"]["not_computed"] = {"auc interval": "one face shows no variation"}
    blocks = generators.section(found, Drawings())
    row = tables(blocks)[0].rows[0]
    assert row[2].note == "" and row[5] == Cell("–", row[5].note, None)
    assert "Not computed for sim_a: auc interval: one face shows no variation" in [
        b.text for b in blocks if isinstance(b, Text)
    ]
    assert "Not everything could be computed for sim_a" in said(worries.not_computed(found))[0]


def test_verdicts_of_photographs_come_from_their_false_alarms(found):
    rows = {row[0]: row for row in tables(generators.section(found, Drawings()))[1].rows}
    rates = found.calibration["rates"]
    review, flag = rates["at_5_percent"]["false_alarms"], rates["at_1_percent"]["false_alarms"]
    assert [cell.value for cell in rows[generators.TEST_PHOTOGRAPHS][1:]] == [
        400 - review,
        review - flag,
        flag,
    ]
    assert [cell.value for cell in rows["sim_a"][1:]] == [
        found.metrics["sim_a"]["verdicts"][v] for v in ("pass", "review", "flag")
    ]


# --- robustness, confounds


def test_kinds_with_several_strengths_are_curves_and_the_others_points(found):
    blocks = robustness.section(found, Drawings())
    panels = [block for block in blocks if isinstance(block, Panels)]
    assert (
        len(panels) == 2
        and panels[0].caption.startswith("JPEG (quality)")
        and "At 40 the mean" in panels[0].caption
    )
    assert (
        panels[0].alts[0].startswith("Detection rate at clean, 75, 40:")
        and "crop × 0.9" in panels[1].alts[0]
    )
    table = tables(blocks)[0]
    assert [row[0] for row in table.rows] == [
        "clean",
        "JPEG 75",
        "JPEG 40",
        "crop × 0.9",
    ] and table.head[1] == "photographs"
    part = found.robustness["jpeg_40"]["generators"]["sim_b"]["at_5_percent"]["perturbed"]
    assert table.rows[2][3].value == table.rows[2][3].shade == part["detection_rate"]


@pytest.mark.parametrize(
    ("kind", "strengths"),
    [
        ("jpeg", [95, 40]),
        ("blur", [0.5, 2]),
        ("resize", [0.75, 0.5]),
        ("resize", [1.1, 0.75, 2]),
        ("crop", [0.9, 0.5]),
    ],
)
def test_strengths_come_from_mild_to_severe(kind, strengths):
    contents = [{"kind": kind, "strength": strength} for strength in reversed(strengths)]
    assert [
        content["strength"] for content in sorted(contents, key=robustness._severity)
    ] == strengths


def test_no_perturbation_is_said(found):
    none = replace(found, robustness={})
    assert robustness.section(none, Drawings()) == [Text(robustness.NONE)]
    assert worries.robustness(none)[0].kind == "plain"


def test_formats_list_photographs_first_and_results_as_found_and_harmonised(found):
    files, results = tables(confounds.section(found, Drawings()))
    assert [row[0] for row in files.rows] == [
        "photographic_calibration",
        "photographic_fit",
        "photographic_test",
        "sim_a",
        "sim_b",
    ]
    assert (
        files.rows[2][1:4] == ["JPEG (720)", "88x88 (680), 96x88 (30), other (10)", "88 (88–96)"]
        and files.rows[3][5] == "–"
    )
    part = found.confounds["harmonised"]["generators"]["sim_b"]["auc"]
    assert [cell.value for cell in results.rows[1][1:3]] == [
        part["as_found"]["value"],
        part["harmonised"]["value"],
    ]


def test_what_the_checks_could_not_compute_is_a_dash_with_its_reason(found):
    nothing = {"value": None, "low": None, "high": None}
    harmonised = found.confounds["harmonised"]
    harmonised["false_alarm_rate"]["harmonised"] = harmonised["generators"]["sim_a"]["auc"][
        "harmonised"
    ] = nothing
    harmonised["mean"]["auc"]["harmonised"] = None
    found.confounds["sets"]["sim_a"] |= {
        "width": {"min": None, "median": None, "max": None},
        "bytes_per_pixel": None,
    }
    found.confounds["not_computed"] = {"harmonised figures": "too few faces"}
    found.confounds["metadata_classifier"]["worst"] = None
    blocks = confounds.section(found, Drawings())
    assert Text("Not computed: harmonised figures: too few faces", "warning") in blocks
    files, results = tables(blocks)
    assert (
        files.rows[3][3] == "–" and results.rows[0][2] == Cell("–") and results.rows[-1][2] == "–"
    )
    assert said(worries.confounds(found)) == [
        "Not computed: results without format cues; the reasons stand with the formats."
    ]
    content = found.robustness["jpeg_40"]
    content["photographs"]["at_5_percent"]["perturbed"] = {
        "false_alarm_rate": 0.9,
        "low": None,
        "high": None,
    }
    content["mean"]["at_5_percent"]["perturbed"] = None
    content["not_computed"] = {"intervals": "one person"}
    assert Text("Not computed: intervals: one person", "warning") in robustness.section(
        found, Drawings()
    )
    assert not any("JPEG 40" in text for text in said(worries.robustness(found)))


# --- feature space, calibration


def test_no_map_and_no_head_that_varies_are_said(found):
    blocks = feature_space.section(replace(found, projection={}), Drawings())
    assert said([block for block in blocks if isinstance(block, Text)]) == [
        "There is no map of the features: too few faces, or all alike."
    ]
    assert feature_space._face({**found.explained["sim_a"][0], "deviating_head": None})[3] == "–"


def test_explained_faces_say_what_deviates_in_words(found):
    blocks = feature_space.section(found, Drawings())
    row = next(
        table for table in tables(blocks) if "explained faces of sim_a" in table.caption
    ).rows[0]
    assert row[1] == Cell(
        "no more than about 0.21 % of photographs look this unusual", "anomaly score 80.2"
    )
    assert row[2] == "flag"
    assert row[3:6] == ["ISO: z = −2.5", "upper left (by 12.5)", "0_1.png (distance 3.25)"]
    found.explained["sim_a"][0] |= {
        "nearest": [],
        "covered": {"largest_drop": None, "where": "nowhere"},
    }
    assert feature_space._face(found.explained["sim_a"][0])[4:6] == ["nowhere (by –)", "–"]
    assert [block.caption for block in blocks if isinstance(block, Picture)] == [
        "sim_a",
        "sim_b",
    ] * 2


def test_heads_are_the_darker_the_further_from_photographs(found):
    table = next(t for t in tables(feature_space.section(found, Drawings())) if "head" in t.caption)
    z = found.metrics["sim_a"]["head_z"]["manipulation"]
    assert table.rows[0][5] == Cell(f"{z:.2f}", "", z, min(1, z / 3))


def test_mixtures_mark_the_one_in_use_and_name_what_could_not_be_fitted(found):
    table = next(
        t
        for t in tables(feature_space.section(found, Drawings()))
        if t.caption.startswith("Mixtures compared")
    )
    assert table.rows[0][7] == Cell(
        "−18.30 ± 0.30", value=found.mixtures[0]["held_out_log_likelihood"]
    )
    assert [row[1] for row in table.rows].count(
        "in use and best"
    ) == 1 and "8 full on 64: too few faces." in table.caption
    none = replace(found, mixtures=[], selection={**found.selection, "advice": ["not run"]})
    assert feature_space._selection(none, Drawings()) == [
        Heading("Other mixtures"),
        Text("Not run."),
    ]


def test_photographs_to_bring(found):
    achieved, bring = tables(calibration.section(found, Drawings()))
    assert [row[0] for row in achieved.rows] == ["flag", "review", "paper_protocol"]
    assert [row[0] for row in bring.rows] == ["100", "200", "480 (at hand)", "1,000", "10,000"]
    rate = found.calibration["rates"]["at_1_percent"]["guarantee_95"]
    assert bring.rows[2][1] == f"{100 * rate['low']:.2f}–{100 * rate['high']:.1f} %"


def test_a_size_too_small_for_a_rate_is_said(found):
    sizes = {
        name: column[1:] for name, column in found.calibration_sizes.items()
    }  # 100 for 1 % is gone
    bring = tables(calibration.section(replace(found, calibration_sizes=sizes), Drawings()))[1]
    assert bring.rows[0][0] == "100" and bring.rows[0][1] == "too few"
