"""The stage where something cannot be computed: what is missing is said, and the rest stands."""

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.stages import audit
from tests.audit_world import OPTIONS, build, change_components, run, write_variant


def test_a_mixture_that_the_faces_cannot_carry_costs_what_needs_one(audited, tmp_path, capsys):
    change_components(tmp_path, 41)
    robustness, confounds, detector, rows = run()
    missing = {name for name, row in rows.items() if row["judged"] == "not computed"}
    assert missing == {"random_weights", "exif_heads", "manipulation_head", "shuffled_exif"}
    assert rows["exif_heads"]["detail"].startswith("cannot be computed: gmm.components: 41")
    assert detector["auc"] is None and detector["committed"]["auc"] is not None
    assert set(confounds["not_computed"]) >= {"as found figures", "harmonised figures"}
    assert robustness["jpeg_40"]["mean"]["auc"]["perturbed"] is not None
    assert "Encoder with random weights: cannot be computed" in capsys.readouterr().out


def test_a_state_that_cannot_be_fitted_leaves_the_other(audited, tmp_path):
    """Harmonised into one and the same picture, the faces have no features that differ."""
    write_variant(tmp_path, "harmonised", audited, np.zeros_like)
    confounds = run()[1]
    figures = confounds["harmonised"]["generators"]["sim_a"]["auc"]
    assert figures["harmonised"] == {"value": None, "low": None, "high": None}
    assert figures["as_found"]["low"] is not None
    assert confounds["harmonised"]["mean"]["auc"]["harmonised"] is None
    reason = confounds["not_computed"]["harmonised figures"]
    assert "(40 faces to fit, 40 to calibrate with, see controls.fit_faces)" in reason
    assert "as found figures" not in confounds["not_computed"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_tiny_generator_is_left_out_and_the_others_are_judged(
    tmp_path, monkeypatch, capsys, count
):
    monkeypatch.chdir(tmp_path)
    build(tmp_path, sim_b=count)
    robustness, confounds, detector, rows = run()
    del rows["real_against_real"]
    for row in (detector, *rows.values()):
        assert list(row["generators"]) == ["sim_a"] and row["auc"] == row["generators"]["sim_a"]
        assert list(row["left_out"]) == ["sim_b"] and row["faces"] == 40 + 30
    assert f"left out: sim_b: only {count} person" in capsys.readouterr().out
    assert "sim_b: AUC of the classifier of metadata" in confounds["not_computed"]
    value = robustness["jpeg_40"]["generators"]["sim_b"]["auc"]["clean"]
    assert value["value"] is not None and (value["low"] is None) == (count == 1)


@pytest.mark.parametrize(
    "name", ["gmm.npz", "threshold.json", "variants/harmonised.npz", "features/sim_b.npz"]
)
def test_a_missing_file_stops_the_stage(audited, tmp_path, name):
    (tmp_path / name).unlink()
    with pytest.raises(PipelineError, match=name):
        audit.main([*OPTIONS, "new"])
    assert not (tmp_path / "new").exists()


def test_without_perturbations_robustness_is_empty(audited, tmp_path):
    details = artifacts.read_json("variants/details.json")
    artifacts.write_json(tmp_path / "variants/details.json", details | {"perturbations": []})
    assert run()[0] == {}
