"""The stage where faces, people or differences are too few for what is asked."""

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.common import artifacts
from tests.evaluated_world import PARAMS, RATES, run, world, write_faces

__all__ = ["world"]  # a fixture


def test_a_generator_with_one_face_is_evaluated_without_what_needs_more(world, capsys):
    write_faces("sim_a", [[9.0, 9.0]])
    got = run()
    assert (
        got["generated_faces"],
        got["values"]["auc"],
        got["values"]["at_5_percent"]["detection_rate"],
    ) == (1, 1, 1)
    assert (got["low"]["auc"], got["high"]["at_5_percent"]["detection_rate"]) == (None, None)
    assert (
        got["low"]["at_5_percent"]["false_alarm_rate"]
        < got["high"]["at_5_percent"]["false_alarm_rate"]
    )
    (what, reason), *others = got["not_computed"].items()
    assert (
        "generated faces" in what
        and reason.startswith("cannot be computed from one face")
        and not others
    )
    assert reason in capsys.readouterr().out
    assert set(artifacts.read_npz("sim_a.bootstrap.npz")) == {
        f"{key}.false_alarm_rate" for key in (*RATES, "paper_protocol")
    }


def test_photographs_of_one_person_leave_the_detection_rates_intervals(world):
    (world / "params.yaml").write_text(PARAMS.replace("^([^_]+)_", "(png)$"))
    got = run()
    assert got["photographic_groups"] == 1 and "photographs" in next(iter(got["not_computed"]))
    assert got["low"]["auc"] is None and got["low"]["at_5_percent"]["detection_rate"] is not None


def test_two_faces_have_no_interval_without_width_and_a_caution(world, capsys):
    write_faces("sim_a", [[0.1, 0.1], [0.5, 0.5]])
    got = run()
    ends = [got[end]["at_5_percent"]["detection_rate"] for end in ("low", "high")]
    assert got["values"]["at_5_percent"]["detection_rate"] == 0 and ends == pytest.approx(
        exact(0, 2)
    )
    (caution,) = got["cautions"]
    assert "the generated faces show only 2" in caution and caution in capsys.readouterr().out


def test_separated_classes_have_no_interval_without_width(world):
    write_faces("photographs", 0.1 * np.random.default_rng(0).normal(size=(60, 2)))  # 30 persons
    write_faces("sim_a", np.full((5, 2), 9.0))
    got = run()
    for key in RATES:
        for rate, (low, high) in (
            ("false_alarm_rate", exact(0, 30)),
            ("detection_rate", exact(5, 5)),
        ):
            assert (got["low"][key][rate], got["high"][key][rate]) == pytest.approx((low, high))
        assert (
            got["low"][key]["accuracy"]
            < got["low"][key]["false_alarm_rate"] + 0.97
            < got["high"][key]["accuracy"]
            == 1
        )
    for name in ("auc", "ap_generated", "ap_photographic", "eer"):
        assert got["low"][name] is None and got["high"][name] is None
        said = got["not_computed"][f"interval of {name}"]
        assert said.startswith(
            f"cannot be computed: all resamples agree on {got['values'][name]:.3g}"
        )
    assert len(got["cautions"]) == 1 and "only 5" in got["cautions"][0]


def exact(k, n):
    interval = binomtest(k, n).proportion_ci(0.95)
    return interval.low, interval.high


def test_constant_scores_are_stated(world):
    for name, faces in (("photographs", 200), ("sim_a", 40)):
        write_faces(name, np.zeros((faces, 2)))
    got = run()
    assert (got["values"]["auc"], got["values"]["eer"], got["low"]["auc"]) == (0.5, 0.5, None)
    assert "the same anomaly score" in got["not_computed"]["ranking"]
