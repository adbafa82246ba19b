"""The whole stage on a small world: the figures of each control anew by hand."""

import io
import json
import shutil
from contextlib import redirect_stdout

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.audit.questions import QUESTIONS
from pipeline.common import artifacts, randomness
from pipeline.density import fitting as density
from pipeline.density.mixture import Mixture
from pipeline.encoder.network import Encoder
from pipeline.extraction import features
from tests import controls_world, picture_world
from tests.controls_world import GENERATORS, read_names, run


@pytest.fixture(scope="module")
def once(pictures, narrow, tmp_path_factory):
    """What the stage writes and prints about the untouched world, and where."""
    folder = tmp_path_factory.mktemp("once")
    shutil.copytree(pictures[0], folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as shown:
        narrow(patch)
        controls_world.add(folder)
        patch.chdir(folder)
        patch.setenv("PIPELINE_WORKERS", "1")
        return folder, run(), shown.getvalue()


def read(name, key="features"):
    return artifacts.read_npz(f"features/{name}.npz")[key].astype(np.float64)


def refitted_aucs(tables):
    """AUC of each generator by a mixture of the world's settings, fitted to the first table."""
    fit = density.fit(
        tables["photographic_fit"], **picture_world.GMM, seed=randomness.key(3, "fit_gmm")
    ).mixture
    photographs = fit.anomaly_score(tables["photographic_test"])
    return {name: auc(photographs, fit.anomaly_score(tables[name])) for name in GENERATORS}


def auc(photographs, generated):
    labels = np.repeat([0, 1], [len(photographs), len(generated)])
    return roc_auc_score(labels, np.concatenate([photographs, generated]))


SETS = ("photographic_fit", "photographic_test", *GENERATORS)


def test_every_control_stands_beside_the_detector(once, world):
    written, (detector, rows), shown = once
    assert list(json.loads((written / "metrics/controls.json").read_text())) == [
        "controls",
        "detector",
    ]
    assert list(rows) == list(QUESTIONS)
    aucs = refitted_aucs({name: read(name) for name in SETS})
    assert detector["generators"] == pytest.approx(aucs) and detector["auc"] == pytest.approx(
        np.mean(list(aucs.values()))
    )
    assert detector["committed"] == {
        "auc": pytest.approx(detector["auc"])
    }  # fitted on the same faces, as they are all
    assert (
        detector["low"] <= detector["auc"] <= detector["high"] and detector["faces"] == 24 + 2 * 16
    )
    for row in rows.values():
        assert row["name"].startswith("file_size") or row["low"] <= row["auc"] <= row["high"]
        assert (
            row["detail"]
            and row["if_high"]
            and row["left_out"] == {}
            and row["suspicious"] is not None
        )
        assert row["faces"] == (24 if row["name"] == "real_against_real" else 56)
    assert (
        all(row["title"] in shown for row in rows.values())
        and max(map(len, shown.splitlines())) <= 80
    )
    flat = " ".join(shown.split())
    assert "give the class away" in flat and "highest for sim_blurred: 0.900" in flat


def test_controls_of_the_heads_are_mixtures_of_their_scores(once, world):
    _, rows = once[1]
    heads = {name: read(name, "heads") for name in SETS}
    for control, columns in (("exif_heads", slice(0, 4)), ("manipulation_head", slice(4, 5))):
        expected = refitted_aucs({name: table[:, columns] for name, table in heads.items()})
        assert rows[control]["generators"] == pytest.approx(expected), control
    plain = np.mean(
        [auc(heads["photographic_test"][:, 4], heads[name][:, 4]) for name in GENERATORS]
    )
    assert f"(the score as it is: AUC {plain:.3f})" in rows["manipulation_head"]["detail"]


@pytest.mark.parametrize(("control", "seed"), [("random_weights", 3), ("shuffled_exif", 8)])
def test_controls_of_other_encoders_extract_and_fit_anew(once, world, tmp_path, control, seed):
    """Random weights are those that training starts from: the seed of params.yaml."""
    _, rows = once[1]
    tables = {}
    for name in SETS:
        names = read_names(name)
        tables[name] = features.extract(
            Encoder("resnet10", 6, seed=seed),
            picture_world.SIDE,
            tmp_path / "root",
            names,
            picture_world.settings(),
        ).features
    assert rows[control]["generators"] == pytest.approx(refitted_aucs(tables))


def test_photographs_against_photographs_are_the_detectors_scores(once, world):
    _, rows = once[1]
    mixture = density.fit(read("photographic_fit"), **picture_world.GMM, seed=1).mixture
    scores = mixture.anomaly_score(read("photographic_test"))
    people = [name.split("/")[-1].split("_")[0] for name in read_names("photographic_test")]
    second = np.array([randomness.share(person, 3, "controls halves") >= 0.5 for person in people])
    assert rows["real_against_real"]["auc"] == pytest.approx(auc(scores[~second], scores[second]))


def test_a_smaller_fit_alone_makes_no_control_look_good(folder):
    """The detector that controls are compared with is fitted on the very same few faces as they
    are, with the same seed.

    An encoder with the detector's own weights is then the detector: no difference at all, whatever
    the fit is worth."""
    picture_world.change_params(
        folder, "fit_faces: 1000, faces: 1000", "fit_faces: 15, faces: 1000"
    )
    picture_world.change_params(folder, "gmm: {components: 1", "gmm: {components: 3")
    shutil.copy(folder / "encoder.safetensors", folder / "shuffled.safetensors")
    detector, rows = run()
    assert rows["shuffled_exif"]["generators"] == pytest.approx(detector["generators"])
    assert (
        "detector minus control +0.000 (95 %: +0.000 to +0.000)" in rows["shuffled_exif"]["detail"]
    )
    assert rows["shuffled_exif"]["suspicious"] is True
    mixture = Mixture.from_arrays(artifacts.read_npz("gmm.npz"))
    own = [
        auc(*(mixture.anomaly_score(read(one)) for one in ("photographic_test", name)))
        for name in GENERATORS
    ]
    assert (
        detector["committed"]["auc"]
        == pytest.approx(np.mean(own))
        != pytest.approx(detector["auc"])
    )
    for row in (detector, rows["random_weights"], rows["shuffled_exif"]):
        assert "15 photographs fitted" in row["detail"]
        assert (
            "warning of the fit: 15 faces for 3 full covariances in 6 dimensions" in row["detail"]
        )
    assert "warning of the fit" not in rows["manipulation_head"]["detail"]


def test_a_shorter_training_is_said(once):
    _, rows = once[1]
    assert rows["shuffled_exif"]["expected"] == (
        "clearly below the detector (trained for 1 of 5 epochs: a lower value may be the shorter "
        "training)"
    )
    assert (
        "trained for 1 of 5 epochs, so that a pass does not prove"
        in rows["shuffled_exif"]["detail"]
    )


def test_a_training_as_long_needs_no_reserve(folder):
    shutil.copy(folder / "encoder.safetensors", folder / "shuffled.safetensors")
    _, rows = run()
    assert rows["shuffled_exif"]["expected"] == "clearly below the detector"
    assert rows["shuffled_exif"]["detail"].startswith("trained for 5 of 5 epochs; 40 photographs")


def test_file_size_is_taken_over_in_the_better_direction(once):
    detector, rows = once[1]
    assert (
        rows["file_size_as_found"]["auc"] == pytest.approx(0.8)
        and rows["file_size_as_found"]["suspicious"] is False
    )
    assert rows["file_size_harmonised"]["auc"] == pytest.approx(0.6)
    above = [name for name in GENERATORS if detector["generators"][name] <= 0.8]
    assert all(name in rows["file_size_as_found"]["detail"] for name in above)


def test_metadata_is_taken_over(once):
    _, rows = once[1]
    assert (
        rows["metadata_as_found"]["auc"] == pytest.approx(0.9)
        and rows["metadata_as_found"]["suspicious"]
    )
    assert (
        rows["metadata_harmonised"]["auc"] == pytest.approx(0.5)
        and not rows["metadata_harmonised"]["suspicious"]
    )


def test_same_bytes_twice_with_any_number_of_workers(once, folder, monkeypatch):
    monkeypatch.setenv("PIPELINE_WORKERS", "3")
    run()
    assert (folder / "metrics/controls.json").read_bytes() == (
        once[0] / "metrics/controls.json"
    ).read_bytes()


def test_at_most_so_many_faces_are_looked_at(folder):
    picture_world.change_params(folder, "fit_faces: 1000, faces: 1000", "fit_faces: 30, faces: 10")
    detector, rows = run()
    assert (
        detector["faces"] == rows["random_weights"]["faces"] == 30
        and "30 photographs fitted" in rows["exif_heads"]["detail"]
    )
    assert rows["real_against_real"]["faces"] == 24  # costs no extraction
