"""The stage on made-up features: figures against scikit-learn, and what cannot be computed."""

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from pipeline.audit.questions import QUESTIONS
from pipeline.base.errors import PipelineError
from pipeline.calibration.thresholds import conformal_threshold
from pipeline.common import artifacts
from pipeline.common.names import HEADS, PHOTOGRAPHIC
from pipeline.common.randomness import key, share
from pipeline.density import fitting
from pipeline.density.density import Density, fit_density
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet
from pipeline.perturbation.file_formats import FileFormat
from pipeline.stages import audit

FIT, CALIBRATION, TEST = PHOTOGRAPHIC
GENERATORS = ("sim_a", "sim_b")
SPREADS = {FIT: 1.0, CALIBRATION: 1.0, TEST: 1.0, "sim_a": 2.0, "sim_b": 1.4}
GMM: Any = {
    **{"components": 1, "covariance_type": "full", "standardise": True, "pca_components": 0},
    **{"regularisation": 1e-6, "maximum_iterations": 50, "tolerance": 1e-3, "starts": 1},
    "device": "cpu",
    **{"shrinkage": "none", "residual": False, "input": "features"},
}
UPPER = {**GMM, "sides": "upper"}
PLAIN = {name: value for name, value in GMM.items() if name != "input"}  # of one mixture
PARAMS = f"""
seed: 3
gmm: {GMM}
bootstrap: {{resamples: 100}}
""".replace("True", "true").replace("False", "false")
OPTIONS = ["--features", "features", "--variants", "variants", "--gmm", "gmm.npz"]
OPTIONS += ["--threshold", "threshold.json", "--output"]
NAMES = ("robustness", "confounds", "controls")
JPEG = FileFormat("JPEG", 28, 28, 80, "4:2:0", False, 0.4)
PNG = FileFormat("PNG", 30, 28, None, None, False, 2.0)


def faces(name, count):
    """Faces of one set, the generated ones farther out; photographs show each person twice."""
    rng = np.random.default_rng([*name.encode()])
    names = np.array([f"data/{name}/{i:03}" for i in range(count)])
    persons = np.array([f"{name} {i // 2}" for i in range(count)])
    features, heads = (rng.normal(0, SPREADS[name], (count, n)) for n in (4, len(HEADS)))
    return FeatureSet(name, names, names if "sim" in name else persons, features, heads, names)


def write_variant(folder, name, sets, change):
    changed = {s: replace(one, features=change(one.features)) for s, one in sets.items()}
    artifacts.write_npz(folder / f"variants/{name}.npz", **feature_sets.joined(changed))


def build(folder, sim_b=30):
    """All that the stage reads: as found, sim_b's files are PNG and those of all others JPEG."""
    (folder / "params.yaml").write_text(PARAMS)
    counts = dict.fromkeys(PHOTOGRAPHIC, 40) | {"sim_a": 30, "sim_b": sim_b}
    sets = {name: faces(name, count) for name, count in counts.items()}
    for name, one in sets.items():
        feature_sets.write(folder / f"features/{name}.npz", one)
    without = {name: one for name, one in sets.items() if name != CALIBRATION}
    tested = {name: one for name, one in without.items() if name != FIT}
    rng = np.random.default_rng(0)
    write_variant(folder, "perturbed/jpeg_40", tested, lambda x: 1.5 * x)
    write_variant(folder, "perturbed/blur_0.5", tested, lambda x: x)
    write_variant(folder, "harmonised", sets, lambda x: -2 * x)
    write_variant(folder, "random_weights", without, lambda x: rng.normal(size=x.shape))
    write_variant(folder, "shuffled_exif", without, lambda x: rng.normal(size=x.shape))
    details: dict[str, Any] = {
        "architecture": "native with all levels",
        "epochs": 5,
        "shuffled_epochs": 1,
    }
    details["harmonisation"] = {"side": 28, "kernel": "bicubic", "jpeg_quality": 80}
    details |= {"generators": [*GENERATORS], "perturbations": ["jpeg_40", "blur_0.5"]}
    artifacts.write_json(folder / "variants/details.json", details)
    rows = [
        {"set": name, "name": face, "state": state, **file._asdict()}
        for name, one in sets.items()
        for face in one.names
        for state, file in (("as_found", PNG if name == "sim_b" else JPEG), ("harmonised", JPEG))
    ]
    artifacts.write_table(folder / "variants/files.parquet", pd.DataFrame(rows))
    own = sets[FIT]
    density = fit_density(own.features, own.heads, own.persons, UPPER, 1).density
    artifacts.write_npz(folder / "gmm.npz", **density.to_arrays())
    scores = density.anomaly_score(sets[CALIBRATION].features, sets[CALIBRATION].heads)
    rates = {
        f"at_{percent}_percent": {
            "false_alarm_rate": percent / 100,
            "threshold": conformal_threshold(scores, percent / 100),
        }
        for percent in (10, 20)
    }
    threshold = {"rates": rates, "review": "at_20_percent", "flag": "at_10_percent"}
    artifacts.write_json(
        folder / "threshold.json", threshold | {"paper_protocol": {"threshold": 1.0}}
    )


def run():
    """The contents of the three files that the stage writes; controls by name."""
    audit.main([*OPTIONS, "out"])
    robustness, confounds, controls = (artifacts.read_json(f"out/{name}.json") for name in NAMES)
    return robustness, confounds, controls["detector"], by_name(controls)


def by_name(controls):
    return {row["name"]: row for row in controls["controls"]}


def change_components(folder, count):
    text = PARAMS.replace("'components': 1", f"'components': {count}")
    (folder / "params.yaml").write_text(text)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """The world and what the stage writes about it, to be left as they are."""
    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        build(folder)
        return folder, run()


@pytest.fixture
def world(once, tmp_path, monkeypatch):
    """A copy as working directory: the feature sets by name."""
    shutil.copytree(once[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return feature_sets.read_all(tmp_path / "features", tuple(SPREADS))


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


def test_perturbed_faces_are_judged_by_the_pipelines_own_mixture_and_thresholds(once, world):
    content = once[1][0]["jpeg_40"]
    mixture = Density.from_arrays(artifacts.read_npz("gmm.npz")).mixtures["features"]
    threshold = artifacts.read_json("threshold.json")["rates"]["at_20_percent"]["threshold"]
    assert (content["kind"], content["strength"], content["not_computed"]) == ("jpeg", 40, {})
    assert content["photographs"]["faces"] == 40 and content["generators"]["sim_a"]["faces"] == 30
    for state, scale in (("clean", 1.0), ("perturbed", 1.5)):
        score = {n: mixture.anomaly_score(scale * f.features) for n, f in world.items()}
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


def test_a_perturbation_that_does_nothing_changes_no_figure(once):
    content = once[1][0]["blur_0.5"]
    for one in (*content["generators"].values(), content["photographs"], content["mean"]):
        states = [value for value in one.values() if isinstance(value, dict)]
        assert states and all(value["clean"] == value["perturbed"] for value in states)


def test_figures_without_format_cues_stand_beside_those_as_found(once, world):
    """Features change their sign and scale: nothing to a mixture and a threshold of their own."""
    confounds = once[1][1]
    harmonised = confounds["harmonised"]
    assert (harmonised["side"], harmonised["fit_faces"], harmonised["warnings"]) == (28, 40, [])
    mixture = fitting.fit(world[FIT].features, **PLAIN, seed=key(3, "fit_gmm")).mixture
    score = {name: mixture.anomaly_score(one.features) for name, one in world.items()}
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


def test_every_control_stands_beside_the_detector(once, world):
    _, _, detector, rows = once[1]
    assert list(rows) == list(QUESTIONS)
    assert detector["generators"] == refitted({n: one.features for n, one in world.items()})
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


def test_controls_score_what_their_names_say(once, world):
    rows = once[1][3]
    heads = {name: one.heads for name, one in world.items()}
    for control, columns in (("exif_heads", slice(0, 4)), ("manipulation_head", slice(4, 5))):
        expected = refitted({name: table[:, columns] for name, table in heads.items()})
        assert rows[control]["generators"] == expected, control
    plain = np.mean([auc(heads[TEST][:, 4], heads[name][:, 4]) for name in GENERATORS])
    assert f"(the score as it is: AUC {plain:.3f})" in rows["manipulation_head"]["detail"]
    for control in ("random_weights", "shuffled_exif"):
        arrays = artifacts.read_npz(f"variants/{control}.npz")
        tables = {name: arrays["features"][arrays["sets"] == name] for name in world}
        assert rows[control]["generators"] == refitted(tables), control
    mixture = Density.from_arrays(artifacts.read_npz("gmm.npz")).mixtures["features"]
    scores = mixture.anomaly_score(world[TEST].features)
    place = [share(person, 3, "controls halves") for person in world[TEST].persons.tolist()]
    expected = auc(scores[np.less(place, 0.5)], scores[np.greater_equal(place, 0.5)])
    assert rows["real_against_real"]["auc"] == pytest.approx(expected)


def test_features_and_heads_together_are_the_detector_and_no_part_of_a_control(
    once, world, tmp_path
):
    """Perturbed heads count; the heads alone are still a mixture of their own."""
    both, own = UPPER | {"input": "both"}, world[FIT]
    (tmp_path / "params.yaml").write_text(PARAMS.replace("'input': 'features'", "'input': 'both'"))
    density = fit_density(own.features, own.heads, own.persons, both, key(3, "fit_gmm")).density
    artifacts.write_npz("gmm.npz", **density.to_arrays())
    moved = {n: replace(world[n], heads=world[n].heads + 1) for n in (TEST, *GENERATORS)}
    write_variant(tmp_path, "perturbed/jpeg_40", moved, lambda x: 1.5 * x)

    def aucs(scale, sets):
        score = {n: density.anomaly_score(scale * s.features, s.heads) for n, s in sets.items()}
        return pytest.approx({name: auc(score[TEST], score[name]) for name in GENERATORS})

    robustness, confounds, detector, rows = run()
    perturbed = robustness["jpeg_40"]["generators"]
    assert {n: perturbed[n]["auc"]["perturbed"]["value"] for n in perturbed} == aucs(1.5, moved)
    harmonised = confounds["harmonised"]["generators"]
    assert {n: one["auc"]["as_found"]["value"] for n, one in harmonised.items()} == aucs(1, world)
    assert detector["generators"] == aucs(1, world)
    assert detector["detail"].startswith("mixtures of all features and of the five head scores")
    for name in ("exif_heads", "manipulation_head"):
        assert rows[name]["generators"] == once[1][3][name]["generators"]


def test_a_smaller_fit_alone_makes_no_control_look_good(world, tmp_path):
    """The detector beside the controls is fitted on the same few faces with the same seed: another
    encoder with its features is no different, whatever the fit is worth.
    """
    few = world | {FIT: world[FIT][np.arange(12)]}
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


def test_a_training_as_long_needs_no_reserve(world, tmp_path):
    details = artifacts.read_json("variants/details.json")
    artifacts.write_json(tmp_path / "variants/details.json", details | {"shuffled_epochs": 5})
    assert run()[3]["shuffled_exif"]["expected"] == "clearly below the detector"


def test_the_same_bytes_again_and_what_to_worry_about_on_the_terminal(
    once, world, tmp_path, capsys
):
    run()
    for name in NAMES:
        content = (once[0] / f"out/{name}.json").read_bytes()
        assert (tmp_path / f"out/{name}.json").read_bytes() == content
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    flat = " ".join(shown.split())
    assert "(clean)" in flat and "jpeg_40" in flat and "warning: sim_b, as found: " in flat
    assert all(question.title in flat for question in QUESTIONS.values())
    assert "give the class away" in flat and "highest for sim_b: 1.000" in flat


# --- what cannot be computed


def test_a_mixture_that_the_faces_cannot_carry_costs_what_needs_one(world, tmp_path, capsys):
    change_components(tmp_path, 41)
    robustness, confounds, detector, rows = run()
    missing = {name for name, row in rows.items() if row["judged"] == "not computed"}
    assert missing == {"random_weights", "exif_heads", "manipulation_head", "shuffled_exif"}
    assert rows["exif_heads"]["detail"].startswith("cannot be computed: gmm.components: 41")
    assert detector["auc"] is None and detector["committed"]["auc"] is not None
    assert set(confounds["not_computed"]) >= {"as found figures", "harmonised figures"}
    assert robustness["jpeg_40"]["mean"]["auc"]["perturbed"] is not None
    assert "Encoder with random weights: cannot be computed" in capsys.readouterr().out


def test_a_state_that_cannot_be_fitted_leaves_the_other(world, tmp_path):
    """Harmonised into one and the same picture, the faces have no features that differ."""
    write_variant(tmp_path, "harmonised", world, np.zeros_like)
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
def test_a_missing_file_stops_the_stage(world, tmp_path, name):
    (tmp_path / name).unlink()
    with pytest.raises(PipelineError, match=name):
        audit.main([*OPTIONS, "new"])
    assert not (tmp_path / "new").exists()


def test_without_perturbations_robustness_is_empty(world, tmp_path):
    details = artifacts.read_json("variants/details.json")
    artifacts.write_json(tmp_path / "variants/details.json", details | {"perturbations": []})
    assert run()[0] == {}
