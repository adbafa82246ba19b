"""The section of the controls, and what of them a reader is warned of."""

from typing import Any

from pipeline.report.document import Cell, Text
from pipeline.report.figures.canvas import Drawings
from pipeline.report.sections import controls, worries
from tests.test_sections import found, made, said, tables

__all__ = ["found", "made"]  # fixtures


def controls_table(found):
    return tables(controls.section(found, Drawings()))[0]


def test_suspicious_controls_are_set_apart_and_warned_of(found):
    assert said(worries.controls(found), "good") and not controls_table(found).marked
    found.controls["controls"][3]["suspicious"] = True
    table = controls_table(found)
    assert (
        table.marked == {4}
        and table.rows[4][4] == "suspicious"
        and table.rows[4][0] == "manipulation head only"
    )
    assert "“manipulation head only”" in said(worries.controls(found))[0]


def test_controls_by_generator_leave_out_those_without(found):
    by_generator = tables(controls.section(found, Drawings()))[1]
    assert len(by_generator.head) == 10 and [row[0] for row in by_generator.rows] == [
        "sim_a",
        "sim_b",
    ]
    assert by_generator.rows[0][1] == Cell(
        "0.780", value=0.78
    )  # the detector's own, beside those of the controls
    for row in (*found.controls["controls"], found.controls["detector"]):
        row["generators"] = {}
    assert len(tables(controls.section(found, Drawings()))) == 1


def test_a_control_that_could_not_be_computed_is_warned_of(found):
    nothing: dict[str, Any] = {
        "auc": None,
        "low": None,
        "high": None,
        "generators": {},
        "faces": 0,
        "detail": "cannot be computed: no faces",
    }
    found.controls["controls"][1] |= nothing
    row = controls_table(found).rows[2]
    assert (row[1], row[4], row[5]) == (Cell("–"), "not computed", "Cannot be computed: no faces.")
    assert said(worries.controls(found)) == [
        "Not computed: “random weights”; the reasons stand with the controls."
    ]


def test_a_control_that_nothing_judges_and_generators_that_are_left_out_are_said_with_the_reason(
    found,
):
    random, heads = found.controls["controls"][1:3]
    random |= {
        "suspicious": None,
        "detail": "not judged, as the control or the detector has no interval",
    }
    for row in (random, heads):
        row |= {"generators": {"sim_a": 0.5}, "left_out": {"sim_b": "one face"}}
    blocks = controls.section(found, Drawings())
    judged, by_generator = tables(blocks)
    assert judged.rows[2][4:6] == [
        "not judged",
        "Not judged, as the control or the detector has no interval.",
    ]
    assert not judged.marked and by_generator.rows[1][2:4] == [Cell("–"), Cell("–")]
    assert said(b for b in blocks if isinstance(b, Text)) == [
        "Left out: sim_b: one face. The means are over the others."
    ]
    assert said(worries.controls(found)) == [
        "Not judged: “random weights”; the reasons stand with the controls.",
        "The controls leave out sim_b; the reasons stand with the controls.",
    ]
    assert said(worries.controls(found), "good") == [
        "The other 8 controls came out as they should."
    ]


def test_file_sizes_as_high_as_the_detector_are_neither_suspicious_nor_in_order(found):
    assert said(worries.controls(found)) == []
    sizes = found.controls["controls"][7]
    sizes["auc"] = found.controls["detector"]["auc"]
    table = controls_table(found)
    assert table.rows[8][4] == "not below the detector" and table.marked == {8}
    (warning,) = said(worries.controls(found))
    assert "“bytes per pixel, as found” AUC 0.780; the detector 0.780 on the same faces." in warning
    found.controls["detector"] |= {"auc": None, "low": None, "high": None}
    assert not controls_table(found).marked and controls_table(found).rows[0][1] == Cell("–")


def test_the_detector_fitted_again_stands_beside_the_pipelines_own(found):
    row = controls_table(found).rows[0]
    assert row[5] == Cell(
        "Mixture of all features, fitted anew.",
        "the pipeline's own mixture: AUC 0.791 on the same faces",
    )
