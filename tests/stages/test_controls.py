"""The whole stage on a small world: the figures of each control anew by hand, and what it does where one cannot be computed."""

import json
import re
import shutil

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline import artifacts, controls, density, features, randomness
from pipeline.checkpoints import save_encoder
from pipeline.encoder import Encoder
from pipeline.errors import PipelineError
from pipeline.stages import controls as stage
from tests import picture_world as world

GENERATORS = ("sim_blurred", "sim_noisy")
CONFOUNDS = {
    "metadata_classifier": {
        "generators": {
            name: {"as_found": {"auc": 0.9, "low": 0.8, "high": 1.0}, "harmonised": {"auc": 0.5, "low": 0.4, "high": 0.6}}
            for name in GENERATORS
        }
    },
    "harmonised": {"faces": {"photographic_test": 24, **dict.fromkeys(GENERATORS, 16)}},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The world with an encoder that is said to be trained with shuffled tags, and the confounds' metrics."""
    folder = tmp_path_factory.mktemp("world")
    world.build(folder)
    meta = {"input_size": world.SIDE, "params": {"pretext": {"epochs": 1}, "exif_tags": "shuffled"}}
    save_encoder(folder / "shuffled.safetensors", Encoder("resnet10", 6, seed=8), meta)
    artifacts.write_json(folder / "confounds.json", CONFOUNDS)
    return folder


@pytest.fixture
def folder(built, tmp_path, monkeypatch):
    shutil.copytree(built, tmp_path / "world")
    monkeypatch.chdir(tmp_path / "world")
    return tmp_path / "world"


def run(metrics="metrics/controls.json"):
    arguments = world.options(metrics)
    threshold = arguments.index("--threshold")
    del arguments[threshold : threshold + 2]
    stage.main([*arguments, "--shuffled", "shuffled.safetensors", "--confounds", "confounds.json"])
    content = artifacts.read_json(metrics)
    return content["detector"], {row["name"]: row for row in content["controls"]}


def read(name, key="features"):
    return artifacts.read_npz(f"features/{name}.npz")[key].astype(np.float64)


def refitted_aucs(tables):
    """AUC of each generator by a mixture of the world's settings, fitted to the first table."""
    fit = density.fit(tables["photographic_fit"], **world.GMM, seed=randomness.key(3, "fit_gmm")).mixture
    photographs = fit.anomaly_score(tables["photographic_test"])
    return {name: auc(photographs, fit.anomaly_score(tables[name])) for name in GENERATORS}


def auc(photographs, generated):
    labels = np.repeat([0, 1], [len(photographs), len(generated)])
    return roc_auc_score(labels, np.concatenate([photographs, generated]))


SETS = ("photographic_fit", "photographic_test", *GENERATORS)


def test_every_control_stands_beside_the_detector(folder, capsys):
    detector, rows = run()
    assert list(json.loads((folder / "metrics/controls.json").read_text())) == ["controls", "detector"]
    assert list(rows) == list(controls.QUESTIONS)
    mixture = density.fit(read("photographic_fit"), **world.GMM, seed=1).mixture  # as the world's own
    photographs = mixture.anomaly_score(read("photographic_test"))
    aucs = {name: auc(photographs, mixture.anomaly_score(read(name))) for name in GENERATORS}
    assert detector["generators"] == pytest.approx(aucs) and detector["auc"] == pytest.approx(np.mean(list(aucs.values())))
    assert detector["low"] <= detector["auc"] <= detector["high"] and detector["faces"] == 24 + 2 * 16
    for row in rows.values():
        assert row["low"] <= row["auc"] <= row["high"] and row["detail"] and row["if_high"]
        assert row["faces"] == (24 if row["name"] == "real_against_real" else 56)
    shown = capsys.readouterr().out
    assert all(row["title"] in shown for row in rows.values()) and max(map(len, shown.splitlines())) <= 80
    flat = " ".join(shown.split())
    assert "give the class away" in flat and "highest for sim_blurred: 0.900" in flat


def test_controls_of_the_heads_are_mixtures_of_their_scores(folder):
    _, rows = run()
    heads = {name: read(name, "heads") for name in SETS}
    for control, columns in (("exif_heads", slice(0, 4)), ("manipulation_head", slice(4, 5))):
        expected = refitted_aucs({name: table[:, columns] for name, table in heads.items()})
        assert rows[control]["generators"] == pytest.approx(expected), control
    plain = np.mean([auc(heads["photographic_test"][:, 4], heads[name][:, 4]) for name in GENERATORS])
    assert f"(the score as it is: AUC {plain:.3f})" in rows["manipulation_head"]["detail"]


@pytest.mark.parametrize(("control", "seed"), [("random_weights", 3), ("shuffled_exif", 8)])
def test_controls_of_other_encoders_extract_and_fit_anew(folder, control, seed):
    """Random weights are those that training starts from: the seed of params.yaml."""
    _, rows = run()
    tables = {}
    for name in SETS:
        names = read_names(name)
        tables[name] = features.extract(
            Encoder("resnet10", 6, seed=seed), world.SIDE, folder / "root", names, world.settings()
        ).features
    assert rows[control]["generators"] == pytest.approx(refitted_aucs(tables))


def read_names(name):
    return artifacts.read_npz(f"features/{name}.npz")["names"].tolist()


def test_photographs_against_photographs_are_the_detectors_scores(folder):
    _, rows = run()
    mixture = density.fit(read("photographic_fit"), **world.GMM, seed=1).mixture
    scores = mixture.anomaly_score(read("photographic_test"))
    people = [name.split("/")[-1].split("_")[0] for name in read_names("photographic_test")]
    second = np.array([randomness.share(person, 3, "controls halves") >= 0.5 for person in people])
    assert rows["real_against_real"]["auc"] == pytest.approx(auc(scores[~second], scores[second]))


def test_metadata_is_taken_over(folder):
    _, rows = run()
    assert rows["metadata_as_found"]["auc"] == pytest.approx(0.9) and rows["metadata_as_found"]["suspicious"]
    assert rows["metadata_harmonised"]["auc"] == pytest.approx(0.5) and not rows["metadata_harmonised"]["suspicious"]


def test_same_bytes_twice_with_any_number_of_workers(folder, monkeypatch):
    for number in ("1", "3"):
        monkeypatch.setenv("PIPELINE_WORKERS", number)
        run(f"metrics/{number}.json")
    assert (folder / "metrics/1.json").read_bytes() == (folder / "metrics/3.json").read_bytes()


def test_at_most_so_many_faces_are_looked_at(folder):
    world.change_params(folder, "fit_faces: 1000, faces: 1000", "fit_faces: 30, faces: 10")
    detector, rows = run()
    assert (
        detector["faces"] == rows["random_weights"]["faces"] == 30 and "30 photographs fitted" in rows["exif_heads"]["detail"]
    )
    assert rows["real_against_real"]["faces"] == 24  # costs no extraction


# --- what cannot be computed


def without_figures(row):
    return (
        row["auc"] is None and row["low"] is None and not row["suspicious"] and row["detail"].startswith("cannot be computed")
    )


def test_a_picture_that_changed_costs_the_controls_that_read_it(folder, capsys):
    path = folder / "root" / read_names("sim_noisy")[3]
    path.write_bytes(path.read_bytes() + b"\0")
    _, rows = run()
    missing = {name for name, row in rows.items() if without_figures(row)}
    assert missing == {"random_weights", "shuffled_exif"}
    assert "1 of 96 pictures" in rows["random_weights"]["detail"] and "03.png" in rows["shuffled_exif"]["detail"]
    shown = capsys.readouterr().out
    assert re.search("Encoder with random weights .* 0  -\n", shown), "neither suspicious nor not"
    assert "Encoder with random weights: cannot be computed" in shown and max(map(len, shown.splitlines())) <= 80


def test_a_mixture_that_the_faces_cannot_carry_costs_the_controls_that_fit_one(folder):
    world.change_params(folder, "gmm: {components: 1", "gmm: {components: 41")
    _, rows = run()
    missing = {name for name, row in rows.items() if without_figures(row)}
    assert missing == {"random_weights", "exif_heads", "manipulation_head", "shuffled_exif"}
    assert "gmm.components: 41 components need as many faces" in rows["exif_heads"]["detail"]


def test_too_many_principal_components_do_not_concern_the_heads(folder):
    world.change_params(folder, "pca_components: 0", "pca_components: 7")
    _, rows = run()
    assert {name for name, row in rows.items() if without_figures(row)} == {"random_weights", "shuffled_exif"}


def test_a_generator_with_one_face_has_an_auc_but_no_interval(folder):
    world.shorten(folder, "sim_noisy", 1)
    detector, rows = run()
    assert detector["auc"] is not None and detector["low"] is None
    for name in ("random_weights", "exif_heads", "manipulation_head", "shuffled_exif"):
        assert rows[name]["auc"] is not None and rows[name]["high"] is None and not rows[name]["suspicious"]
        assert "(sim_noisy)" in rows[name]["detail"] and "not judged" in rows[name]["detail"]


def test_photographs_of_one_person_have_no_halves(folder):
    world.shorten(folder, "photographic_test", 2)
    _, rows = run()
    assert without_figures(rows["real_against_real"]) and rows["exif_heads"]["auc"] is not None


def test_metadata_that_is_not_there_costs_its_two_controls(folder):
    artifacts.write_json(folder / "confounds.json", {"metadata_classifier": {"generators": {}}})
    _, rows = run()
    assert {name for name, row in rows.items() if without_figures(row)} == {"metadata_as_found", "metadata_harmonised"}
    assert "confounds.json" in rows["metadata_as_found"]["detail"]


@pytest.mark.parametrize(
    "name", ["gmm.npz", "encoder.safetensors", "shuffled.safetensors", "confounds.json", "counts/sim_noisy.json"]
)
def test_a_missing_file_stops_the_stage_at_once(folder, name):
    (folder / name).unlink()
    with pytest.raises(PipelineError, match=name):
        run()


def test_features_of_another_run_stop_the_stage(folder):
    shutil.copy(folder / "features/sim_noisy.npz", folder / "features/sim_blurred.npz")
    with pytest.raises(PipelineError, match=r"sim_blurred\.npz is missing or not the file"):
        run()
