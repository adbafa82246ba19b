"""The stage on made-up features: figures against scikit-learn, and what cannot be computed."""

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.audit.questions import QUESTIONS
from pipeline.base.errors import PipelineError
from pipeline.calibration.thresholds import conformal_threshold
from pipeline.common import artifacts
from pipeline.common.names import HEADS, PHOTOGRAPHIC
from pipeline.common.randomness import key, share
from pipeline.density import fitting
from pipeline.density.mixture import Mixture
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet
from pipeline.perturbation.file_formats import FileFormat
from pipeline.stages import audit

FIT, CALIBRATION, TEST = PHOTOGRAPHIC
GENERATORS = ("sim_a", "sim_b")
GMM: Any = {
    **{"components": 1, "covariance_type": "full", "standardise": True, "pca_components": 0},
    **{"regularisation": 1e-6, "maximum_iterations": 50, "tolerance": 1e-3, "starts": 1},
    "device": "cpu",
}
PARAMS = f"""
seed: 3
gmm: {GMM}
bootstrap: {{resamples: 100}}
generators: {[*GENERATORS]}
perturbations: [jpeg_40, blur_0.5]
""".replace("True", "true")
OPTIONS = ["--features", "features", "--variants", "variants", "--gmm", "gmm.npz"]
OPTIONS += ["--threshold", "threshold.json", "--output"]
NAMES = ("robustness", "confounds", "controls")
JPEG = FileFormat("JPEG", 28, 28, 80, "4:2:0", False, 0.4)


def faces(name, count, spread):
    """Faces of one set; photographs show each person twice."""
    rng = np.random.default_rng([*name.encode()])
    names = np.array([f"data/{name}/{i:03}" for i in range(count)])
    persons = np.array([f"{name} {i // 2}" for i in range(count)])
    arrays = (rng.normal(0, spread, (count, n)).astype(np.float32) for n in (4, len(HEADS)))
    return FeatureSet(name, names, names if "sim" in name else persons, *arrays, names)


def build(folder, **counts):
    """All that the stage reads, below `folder`: generated faces lie farther out; files as found are
    JPEG for photographs and sim_a, PNG for sim_b, whose sizes differ.
    """
    (folder / "params.yaml").write_text(PARAMS)
    counts = {FIT: 40, CALIBRATION: 40, TEST: 40, "sim_a": 30, "sim_b": 30, **counts}
    spreads = dict.fromkeys(PHOTOGRAPHIC, 1.0) | {"sim_a": 2.0, "sim_b": 1.4}
    sets = {name: faces(name, count, spreads[name]) for name, count in counts.items()}
    for name, one in sets.items():
        feature_sets.write(folder / f"features/{name}.npz", one)
    tested = {name: one for name, one in sets.items() if name not in (FIT, CALIBRATION)}
    without = {name: one for name, one in sets.items() if name != CALIBRATION}
    write_variant(folder, "perturbed/jpeg_40", tested, scale=1.5)
    write_variant(folder, "perturbed/blur_0.5", tested, scale=1.0)
    write_variant(folder, "harmonised", sets, scale=-2.0)
    for seed, name in enumerate(("random_weights", "shuffled_exif")):
        rng = np.random.default_rng(seed)
        noise = {s: replace(f, features=rng.normal(size=(len(f), 4))) for s, f in without.items()}
        write_variant(folder, name, noise, scale=1.0)
    details: dict[str, Any] = {"architecture": "resnet10", "epochs": 5, "shuffled_epochs": 1}
    details["harmonisation"] = {"side": 28, "kernel": "bicubic", "jpeg_quality": 80}
    artifacts.write_json(folder / "variants/details.json", details)
    rows = []
    for name, one in sets.items():
        for i, face in enumerate(one.names):
            found = JPEG._replace(bytes_per_pixel=1.0 + (i % 7) + 4 * (name == "sim_a"))
            if name == "sim_b":
                found = FileFormat("PNG", 30, 28, None, None, False, 2.0)
            for state, file in (("as_found", found), ("harmonised", JPEG)):
                rows.append({"set": name, "name": face, "state": state, **file._asdict()})
    artifacts.write_table(folder / "variants/files.parquet", pd.DataFrame(rows))
    mixture = fitting.fit(sets[FIT].features, **GMM, seed=1).mixture
    artifacts.write_npz(folder / "gmm.npz", **mixture.to_arrays())
    rates = {
        f"at_{100 * rate:.0f}_percent": {
            "false_alarm_rate": rate,
            "threshold": conformal_threshold(
                mixture.anomaly_score(sets[CALIBRATION].features), rate
            ),
        }
        for rate in (0.1, 0.2)
    }
    threshold = {"rates": rates, "review": "at_20_percent", "flag": "at_10_percent"}
    threshold["paper_protocol"] = {"threshold": 1.0}
    artifacts.write_json(folder / "threshold.json", threshold)


def write_variant(folder, name, sets, scale):
    changed = {s: replace(one, features=scale * one.features) for s, one in sets.items()}
    artifacts.write_npz(folder / f"variants/{name}.npz", **feature_sets.joined(changed))


def run():
    """The three files that the stage writes."""
    audit.main([*OPTIONS, "out"])
    robustness, confounds, controls = (artifacts.read_json(f"out/{name}.json") for name in NAMES)
    return robustness, confounds, controls


def by_name(controls):
    return {row["name"]: row for row in controls["controls"]}


def change_gmm(folder, **changes):
    text = PARAMS
    for name, value in changes.items():
        assert f"'{name}': {GMM[name]}" in text
        text = text.replace(f"'{name}': {GMM[name]}", f"'{name}': {value}")
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
    return {
        n: feature_sets.read(tmp_path / f"features/{n}.npz", n)
        for n in (*PHOTOGRAPHIC, *GENERATORS)
    }


def auc(photographs, generated):
    labels = np.repeat([0, 1], [len(photographs), len(generated)])
    return roc_auc_score(labels, np.concatenate([photographs, generated]))


def refitted(tables):
    """AUC of each generator under a mixture of the tables' own."""
    mixture = fitting.fit(tables[FIT], **GMM, seed=key(3, "fit_gmm")).mixture
    photographs = mixture.anomaly_score(tables[TEST])
    return {name: auc(photographs, mixture.anomaly_score(tables[name])) for name in GENERATORS}


# --- robustness and confounds


def test_perturbed_faces_are_judged_by_the_pipelines_own_mixture_and_thresholds(once, world):
    robustness = once[1][0]
    mixture = Mixture.from_arrays(artifacts.read_npz("gmm.npz"))
    threshold = artifacts.read_json("threshold.json")["rates"]["at_20_percent"]["threshold"]
    content = robustness["jpeg_40"]
    assert (content["kind"], content["strength"]) == ("jpeg", 40) and len(robustness) == 2
    for state, scale in (("clean", 1.0), ("perturbed", 1.5)):
        score = {n: mixture.anomaly_score(scale * f.features) for n, f in world.items()}
        figures = content["generators"]["sim_a"]
        assert figures["auc"][state]["value"] == pytest.approx(auc(score[TEST], score["sim_a"]))
        detected = figures["at_20_percent"][state]["detection_rate"]
        assert detected == np.mean(score["sim_a"] > threshold)
        alarms = content["photographs"]["at_20_percent"][state]["false_alarm_rate"]
        assert alarms == np.mean(score[TEST] > threshold)


def test_figures_without_format_cues_stand_beside_those_as_found(once, world):
    confounds = once[1][1]
    harmonised = confounds["harmonised"]
    assert (harmonised["side"], harmonised["kernel"], harmonised["fit_faces"]) == (
        28,
        "bicubic",
        40,
    )
    aucs = refitted({name: one.features for name, one in world.items()})
    for name in GENERATORS:  # the same features but for their sign and scale, which a fit undoes
        for state in ("as_found", "harmonised"):
            value = harmonised["generators"][name]["auc"][state]["value"]
            assert value == pytest.approx(aucs[name])
    classifier = confounds["metadata_classifier"]["generators"]
    assert classifier["sim_a"]["as_found"]["auc"] == 0.5
    assert classifier["sim_b"]["as_found"]["auc"] == 1 == confounds["metadata_classifier"]["worst"]
    assert classifier["sim_b"]["harmonised"]["auc"] == 0.5 and len(confounds["warnings"]) == 1
    assert confounds["sets"]["sim_b"]["formats"] == {"PNG": 30} and len(confounds["sets"]) == 5


# --- controls


def test_every_control_stands_beside_the_detector(once, world):
    detector, rows = once[1][2]["detector"], by_name(once[1][2])
    assert list(rows) == list(QUESTIONS)
    aucs = refitted({name: one.features for name, one in world.items()})
    assert detector["generators"] == pytest.approx(aucs)
    assert detector["auc"] == pytest.approx(np.mean(list(aucs.values())))
    # fitted on the same faces, as they are all chosen
    assert detector["committed"] == {"auc": pytest.approx(detector["auc"])}
    assert detector["low"] < detector["auc"] < detector["high"] and detector["faces"] == 100
    for name, row in rows.items():
        assert row["faces"] == (40 if name == "real_against_real" else 100)
        assert row["if_high"] and row["suspicious"] is not None and row["left_out"] == {}
    assert rows["random_weights"]["judged"] == rows["shuffled_exif"]["judged"] == "in order"
    assert rows["metadata_as_found"]["judged"] == "suspicious"
    assert rows["metadata_harmonised"]["judged"] == "in order"


def test_controls_of_the_heads_are_mixtures_of_their_scores(once, world):
    rows = by_name(once[1][2])
    heads = {name: one.heads for name, one in world.items()}
    for control, columns in (("exif_heads", slice(0, 4)), ("manipulation_head", slice(4, 5))):
        expected = refitted({name: table[:, columns] for name, table in heads.items()})
        assert rows[control]["generators"] == pytest.approx(expected), control
    plain = np.mean([auc(heads[TEST][:, 4], heads[name][:, 4]) for name in GENERATORS])
    assert f"(the score as it is: AUC {plain:.3f})" in rows["manipulation_head"]["detail"]


def test_controls_of_other_encoders_are_fitted_to_their_features(once, world):
    rows = by_name(once[1][2])
    for control in ("random_weights", "shuffled_exif"):
        arrays = artifacts.read_npz(f"variants/{control}.npz")
        tables = {name: arrays["features"][arrays["sets"] == name] for name in world}
        assert rows[control]["generators"] == pytest.approx(refitted(tables))
    assert "(trained for 1 of 5 epochs: " in rows["shuffled_exif"]["expected"]


def test_photographs_against_photographs_are_the_pipelines_own_scores(once, world):
    scores = Mixture.from_arrays(artifacts.read_npz("gmm.npz")).anomaly_score(world[TEST].features)
    place = [share(person, 3, "controls halves") for person in world[TEST].persons.tolist()]
    second = np.array(place) >= 0.5
    row = by_name(once[1][2])["real_against_real"]
    assert row["auc"] == pytest.approx(auc(scores[~second], scores[second]))


def test_a_smaller_fit_alone_makes_no_control_look_good(world, tmp_path):
    """The detector beside the controls is fitted on the same few faces with the same seed: another
    encoder with its features is no different, whatever the fit is worth.
    """
    few = world | {FIT: world[FIT][np.arange(15)]}
    for name in ("harmonised", "shuffled_exif"):
        write_variant(tmp_path, name, few, scale=1.0)
    change_gmm(tmp_path, components=3)
    _, _, controls = run()
    detector, row = controls["detector"], by_name(controls)["shuffled_exif"]
    assert row["generators"] == detector["generators"] and row["suspicious"] is True
    assert "detector minus control +0.000 (95 %: +0.000 to +0.000)" in row["detail"]
    assert detector["committed"]["auc"] != pytest.approx(detector["auc"])
    for one in (detector, row):
        assert "15 photographs fitted; warning of the fit: 15 faces for 3 full" in one["detail"]


def test_a_training_as_long_needs_no_reserve(world, tmp_path):
    details = artifacts.read_json("variants/details.json")
    artifacts.write_json(tmp_path / "variants/details.json", details | {"shuffled_epochs": 5})
    assert by_name(run()[2])["shuffled_exif"]["expected"] == "clearly below the detector"


# --- what is shown, and what cannot be computed


def test_the_terminal_shows_three_tables_and_what_to_worry_about(world, capsys):
    run()
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    flat = " ".join(shown.split())
    assert "(clean)" in flat and "jpeg_40" in flat and "warning: sim_b, as found: " in flat
    assert all(question.title in flat for question in QUESTIONS.values())
    assert "give the class away" in flat and "highest for sim_b: 1.000" in flat


def test_same_bytes_twice(once, world, tmp_path):
    run()
    for name in NAMES:
        content = (once[0] / f"out/{name}.json").read_bytes()
        assert (tmp_path / f"out/{name}.json").read_bytes() == content


def test_a_mixture_that_the_faces_cannot_carry_costs_what_needs_one(world, tmp_path, capsys):
    change_gmm(tmp_path, components=41)
    robustness, confounds, controls = run()
    detector, rows = controls["detector"], by_name(controls)
    missing = {name for name, row in rows.items() if row["judged"] == "not computed"}
    assert missing == {"random_weights", "exif_heads", "manipulation_head", "shuffled_exif"}
    assert rows["exif_heads"]["detail"].startswith("cannot be computed: gmm.components: 41")
    assert detector["auc"] is None and detector["committed"]["auc"] is not None
    assert set(confounds["not_computed"]) >= {"as found figures", "harmonised figures"}
    assert robustness["jpeg_40"]["mean"]["auc"]["perturbed"] is not None
    assert "Encoder with random weights: cannot be computed" in capsys.readouterr().out


@pytest.mark.parametrize("count", [1, 3])
def test_a_tiny_generator_is_left_out_and_the_others_are_judged(
    tmp_path, monkeypatch, capsys, count
):
    monkeypatch.chdir(tmp_path)
    build(tmp_path, sim_b=count)
    robustness, confounds, controls = run()
    for row in (controls["detector"], *controls["controls"]):
        if row.get("name") != "real_against_real":
            assert list(row["generators"]) == ["sim_a"] and row["auc"] == row["generators"]["sim_a"]
            assert list(row["left_out"]) == ["sim_b"] and row["faces"] == 40 + 30
            assert row["left_out"]["sim_b"].startswith(f"only {count} person")
    assert f"left out: sim_b: only {count} person" in capsys.readouterr().out
    assert (
        "sim_b: AUC of the classifier of metadata, as found" in confounds["not_computed"] or count
    )
    auc_of = robustness["jpeg_40"]["generators"]["sim_b"]["auc"]["clean"]
    assert auc_of["value"] is not None and (auc_of["low"] is None) == (count == 1)


@pytest.mark.parametrize(
    "name",
    [
        "gmm.npz",
        "threshold.json",
        "variants/details.json",
        "variants/harmonised.npz",
        "features/sim_b.npz",
    ],
)
def test_a_missing_file_stops_the_stage(world, tmp_path, name):
    (tmp_path / name).unlink()
    with pytest.raises(PipelineError, match=name):
        audit.main([*OPTIONS, "new"])
    assert not (tmp_path / "new").exists()


def test_without_perturbations_robustness_is_empty(world, tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS.replace("[jpeg_40, blur_0.5]", "[]"))
    assert run()[0] == {}
