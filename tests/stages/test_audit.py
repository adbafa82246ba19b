"""The stage on made-up features: figures against scikit-learn."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from pipeline.audit.questions import QUESTIONS
from pipeline.common import artifacts
from pipeline.common.randomness import key, share
from pipeline.density import fitting
from pipeline.density.density import Density, fit_density
from tests.audit_world import (
    CALIBRATION,
    FIT,
    GENERATORS,
    NAMES,
    PARAMS,
    PLAIN,
    TEST,
    UPPER,
    change_components,
    run,
    write_variant,
)


def auc(photographs, generated):
    labels = np.repeat([0, 1], [len(photographs), len(generated)])
    return roc_auc_score(labels, np.concatenate([photographs, generated]))


def refitted(tables):
    """AUC of each generator under a mixture of the tables' own."""
    mixture = fitting.fit(tables[FIT], **PLAIN, seed=key(3, "fit_gmm")).mixture
    photographs = mixture.anomaly_score(tables[TEST])
    return pytest.approx(
        {name: auc(photographs, mixture.anomaly_score(tables[name])) for name in GENERATORS}
    )


# --- figures


def test_perturbed_faces_are_judged_by_the_pipelines_mixture_and_thresholds(audited_once, audited):
    content = audited_once[1][0]["jpeg_40"]
    mixture = Density.from_arrays(artifacts.read_npz("gmm.npz")).mixtures["features"]
    threshold = artifacts.read_json("threshold.json")["rates"]["at_20_percent"]["threshold"]
    assert (content["kind"], content["strength"], content["not_computed"]) == ("jpeg", 40, {})
    assert content["photographs"]["faces"] == 40 and content["generators"]["sim_a"]["faces"] == 30
    for state, scale in (("clean", 1.0), ("perturbed", 1.5)):
        score = {n: mixture.anomaly_score(scale * f.features) for n, f in audited.items()}
        rate = {name: np.mean(score[name] > threshold) for name in score}
        for name in GENERATORS:
            figures = content["generators"][name]
            assert figures["auc"][state]["value"] == pytest.approx(auc(score[TEST], score[name]))
            assert figures["at_20_percent"][state]["detection_rate"] == rate[name]
        exact = binomtest(round(40 * rate[TEST]), 40).proportion_ci(0.95, method="exact")
        alarms = content["photographs"]["at_20_percent"][state]
        expected = {"false_alarm_rate": rate[TEST], "low": exact.low, "high": exact.high}
        assert alarms == pytest.approx(expected)
        detected = content["mean"]["at_20_percent"][state]
        assert detected == pytest.approx(np.mean([rate[name] for name in GENERATORS]))


def test_each_kind_of_perturbation_is_a_curve_that_starts_with_clean_faces(audited_once):
    robustness = audited_once[1][0]
    curves = pd.read_csv(audited_once[0] / "curves.csv", dtype={"strength": str})
    assert list(zip(curves["kind"], curves["strength"], strict=True)) == [
        ("jpeg", "clean"), ("jpeg", "40"), ("blur", "clean"), ("blur", "0.5")
    ]  # fmt: skip
    for name, rows in (("jpeg_40", curves[:2]), ("blur_0.5", curves[2:])):
        states = ("clean", "perturbed")
        mean, photographs = robustness[name]["mean"], robustness[name]["photographs"]
        alarms = [photographs["at_20_percent"][state]["false_alarm_rate"] for state in states]
        for column, expected in (
            ("auc", [mean["auc"][state] for state in states]),
            ("detection_rate", [mean["at_20_percent"][state] for state in states]),
            ("false_alarm_rate", alarms),
        ):
            assert list(rows[column]) == pytest.approx(expected)


def test_figures_without_format_cues_stand_beside_those_as_found(audited_once, audited):
    """Features change their sign and scale: nothing to a mixture and a threshold of their own."""
    confounds = audited_once[1][1]
    harmonised = confounds["harmonised"]
    assert (harmonised["side"], harmonised["fit_faces"], harmonised["warnings"]) == (28, 40, [])
    mixture = fitting.fit(audited[FIT].features, **PLAIN, seed=key(3, "fit_gmm")).mixture
    score = {name: mixture.anomaly_score(one.features) for name, one in audited.items()}
    threshold = np.sort(score[CALIBRATION])[32]  # rank ceil(41 x 0.8)
    for state in ("as_found", "harmonised"):
        alarms = harmonised["false_alarm_rate"][state]["value"]
        assert alarms == np.mean(score[TEST] > threshold)
        for name in GENERATORS:
            figures = harmonised["generators"][name]
            assert figures["auc"][state]["value"] == pytest.approx(auc(score[TEST], score[name]))
            assert figures["detection_rate"][state]["value"] == np.mean(score[name] > threshold)
    classifier = confounds["metadata_classifier"]["generators"]
    assert classifier["sim_a"]["as_found"]["auc"] == classifier["sim_b"]["harmonised"]["auc"] == 0.5
    assert classifier["sim_b"]["as_found"]["auc"] == 1 and len(confounds["warnings"]) == 1
    assert confounds["sets"]["sim_b"]["formats"] == {"PNG": 30} and len(confounds["sets"]) == 5


def test_every_control_stands_beside_the_detector(audited_once, audited):
    _, _, detector, rows = audited_once[1]
    assert list(rows) == list(QUESTIONS)
    assert detector["generators"] == refitted({n: one.features for n, one in audited.items()})
    assert detector["auc"] == pytest.approx(np.mean(list(detector["generators"].values())))
    # fitted on the same faces, as they are all chosen
    assert detector["committed"] == {"auc": pytest.approx(detector["auc"])}
    assert detector["low"] < detector["auc"] < detector["high"] and detector["faces"] == 100
    for name, row in rows.items():
        assert row["faces"] == (40 if name == "real_against_real" else 100)
        assert row["if_high"] and row["suspicious"] is not None and row["left_out"] == {}
    assert rows["random_weights"]["judged"] == rows["metadata_harmonised"]["judged"] == "in order"
    assert rows["metadata_as_found"]["judged"] == "suspicious"
    assert "(trained for 1 of 5 epochs: " in rows["shuffled_exif"]["expected"]


def test_controls_score_what_their_names_say(audited_once, audited):
    rows = audited_once[1][3]
    heads = {name: one.heads for name, one in audited.items()}
    for control, columns in (("exif_heads", slice(0, 4)), ("manipulation_head", slice(4, 5))):
        expected = refitted({name: table[:, columns] for name, table in heads.items()})
        assert rows[control]["generators"] == expected, control
    plain = np.mean([auc(heads[TEST][:, 4], heads[name][:, 4]) for name in GENERATORS])
    assert f"(the score as it is: AUC {plain:.3f})" in rows["manipulation_head"]["detail"]
    for control in ("random_weights", "shuffled_exif"):
        arrays = artifacts.read_npz(f"variants/{control}.npz")
        tables = {name: arrays["features"][arrays["sets"] == name] for name in audited}
        assert rows[control]["generators"] == refitted(tables), control
    mixture = Density.from_arrays(artifacts.read_npz("gmm.npz")).mixtures["features"]
    scores = mixture.anomaly_score(audited[TEST].features)
    place = [share(person, 3, "controls halves") for person in audited[TEST].persons.tolist()]
    expected = auc(scores[np.less(place, 0.5)], scores[np.greater_equal(place, 0.5)])
    assert rows["real_against_real"]["auc"] == pytest.approx(expected)


def test_features_and_heads_together_are_the_detector_and_no_part_of_a_control(
    audited_once, audited, tmp_path
):
    """Perturbed heads count; the heads alone are still a mixture of their own."""
    both, own = UPPER | {"input": "both"}, audited[FIT]
    (tmp_path / "params.yaml").write_text(PARAMS.replace("'input': 'features'", "'input': 'both'"))
    density = fit_density(own.features, own.heads, own.persons, both, key(3, "fit_gmm")).density
    artifacts.write_npz("gmm.npz", **density.to_arrays())
    moved = {n: replace(audited[n], heads=audited[n].heads + 1) for n in (TEST, *GENERATORS)}
    write_variant(tmp_path, "perturbed/jpeg_40", moved, lambda x: 1.5 * x)

    def aucs(scale, sets):
        score = {n: density.anomaly_score(scale * s.features, s.heads) for n, s in sets.items()}
        return pytest.approx({name: auc(score[TEST], score[name]) for name in GENERATORS})

    robustness, confounds, detector, rows = run()
    perturbed = robustness["jpeg_40"]["generators"]
    assert {n: perturbed[n]["auc"]["perturbed"]["value"] for n in perturbed} == aucs(1.5, moved)
    harmonised = confounds["harmonised"]["generators"]
    assert {n: one["auc"]["as_found"]["value"] for n, one in harmonised.items()} == aucs(1, audited)
    assert detector["generators"] == aucs(1, audited)
    assert detector["detail"].startswith("mixtures of all features and of all head scores")
    for name in ("exif_heads", "manipulation_head"):
        assert rows[name]["generators"] == audited_once[1][3][name]["generators"]


def test_a_smaller_fit_alone_makes_no_control_look_good(audited, tmp_path):
    """The detector beside the controls is fitted on the same few faces with the same seed: another
    encoder with its features is no different, whatever the fit is worth.
    """
    few = audited | {FIT: audited[FIT][np.arange(12)]}
    for name in ("harmonised", "shuffled_exif"):
        write_variant(tmp_path, name, few, lambda x: x)
    change_components(tmp_path, 3)
    _, _, detector, rows = run()
    row = rows["shuffled_exif"]
    assert row["generators"] == detector["generators"] and row["suspicious"] is True
    assert "detector minus control +0.000 (95 %: +0.000 to +0.000)" in row["detail"]
    assert detector["committed"]["auc"] != pytest.approx(detector["auc"])
    for one in (detector, row):
        assert "12 photographs fitted; warning of the fit: 12 faces for 3 full" in one["detail"]


def test_a_training_as_long_needs_no_reserve(audited, tmp_path):
    details = artifacts.read_json("variants/details.json")
    artifacts.write_json(tmp_path / "variants/details.json", details | {"shuffled_epochs": 5})
    assert run()[3]["shuffled_exif"]["expected"] == "clearly below the detector"


def test_the_same_bytes_again_and_what_to_worry_about_on_the_terminal(
    audited_once, audited, tmp_path, capsys
):
    run()
    for name in NAMES:
        content = (audited_once[0] / f"out/{name}.json").read_bytes()
        assert (tmp_path / f"out/{name}.json").read_bytes() == content
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    flat = " ".join(shown.split())
    assert "(clean)" in flat and "jpeg_40" in flat and "warning: sim_b, as found: " in flat
    assert all(question.title in flat for question in QUESTIONS.values())
    assert "give the class away" in flat and "highest for sim_b: 1.000" in flat
