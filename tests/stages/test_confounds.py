"""The whole stage on small pictures: photographs are JPEG, generated faces PNG."""

import io
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from pipeline.base.errors import PipelineError
from pipeline.calibration.thresholds import conformal_threshold
from pipeline.common import artifacts
from pipeline.common.pictures import read_picture
from pipeline.common.randomness import key
from pipeline.density import fitting as density
from pipeline.encoder.checkpoints import load_encoder
from pipeline.extraction import features
from pipeline.stages import confounds
from tests import picture_world

FIT, CALIBRATION, TEST = "photographic_fit", "photographic_calibration", "photographic_test"


def run():
    confounds.main(picture_world.options("out/metrics.json", without=("gmm", "threshold")))
    return artifacts.read_json("out/metrics.json")


@pytest.fixture(scope="module")
def once(pictures, narrow, tmp_path_factory):
    """What the stage writes and prints about the untouched world, and the file itself."""
    folder = tmp_path_factory.mktemp("once")
    shutil.copytree(pictures[0], folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as shown:
        narrow(patch)
        patch.chdir(folder)
        patch.setenv("PIPELINE_WORKERS", "1")
        return run(), shown.getvalue(), Path("out/metrics.json").read_bytes()


@pytest.fixture
def small_forests(monkeypatch):
    """For runs in which the classifier of metadata is not asked about: it takes most of the stage's
    time here.
    """
    monkeypatch.setattr(confounds.confounds, "TREES", 2)


def harmonised_features(names, folder):
    """Features of pictures that PIL resizes, compresses and saves, extracted as any other."""
    encoder, meta = load_encoder(folder / "encoder.safetensors")
    for i, name in enumerate(names):
        square = Image.fromarray(read_picture(folder / "root" / name)).resize(
            (28, 28), Image.Resampling.BICUBIC
        )
        square.save(folder / f"{i:03}.jpg", quality=80)
    saved = [f"{i:03}.jpg" for i in range(len(names))]
    return features.extract(
        encoder, meta["input_size"], folder, saved, picture_world.settings()
    ).features


def expected_figures(tables):
    """By scikit-learn and NumPy: AUC and detection rate of the blurred, false alarm rate, all from
    a mixture of their own.
    """
    mixture = density.fit(tables[FIT], **picture_world.GMM, seed=key(3, "fit_gmm")).mixture
    threshold = conformal_threshold(mixture.anomaly_score(tables[CALIBRATION]), 0.2)
    photographic, generated = (
        mixture.anomaly_score(tables[name]) for name in (TEST, "sim_blurred")
    )
    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    auc = roc_auc_score(labels, np.concatenate([photographic, generated]))
    return auc, np.mean(generated > threshold), np.mean(photographic > threshold)


def test_each_state_is_fitted_and_calibrated_on_its_own_pictures(once, world, tmp_path):
    names = (FIT, CALIBRATION, TEST, "sim_blurred")
    tables = {
        "as_found": {name: picture_world.read_features(tmp_path, name) for name in names},
        "harmonised": {name: harmonised_features(world[name], tmp_path) for name in names},
    }
    got = once[0]["harmonised"]
    blurred = got["generators"]["sim_blurred"]
    for state, of_state in tables.items():
        auc, detected, alarms = expected_figures(of_state)
        assert blurred["auc"][state]["value"] == pytest.approx(auc, abs=0.005)
        assert blurred["detection_rate"][state]["value"] == detected
        assert got["false_alarm_rate"][state]["value"] == alarms
        exact = binomtest(round(24 * alarms), 24).proportion_ci(0.95, method="exact")
        assert got["false_alarm_rate"][state]["low"] == pytest.approx(exact.low)
    assert (got["side"], got["kernel"], got["jpeg_quality"]) == (28, "bicubic", 80)
    assert (got["fit_faces"], got["calibration_faces"], got["warnings"]) == (40, 40, [])
    assert got["faces"] == {TEST: 24, "sim_blurred": 16, "sim_noisy": 16}


@pytest.mark.usefixtures("small_forests")
def test_only_harmonisation_differs_between_the_states(world, monkeypatch):
    """Where it changes nothing, the figures are the same, also of a part of the faces, and by a fit
    that hangs on its seed.
    """
    monkeypatch.setattr(confounds, "harmonise", lambda picture, *how: (picture, b""))
    folder = Path.cwd()
    picture_world.change_params(folder, "{fit_faces: 1000, faces: 1000", "{fit_faces: 30, faces: 9")
    picture_world.change_params(
        folder, "components: 1, covariance_type: full", "components: 3, covariance_type: diag"
    )
    got = run()["harmonised"]
    for one in (
        *got["generators"]["sim_blurred"].values(),
        *got["generators"]["sim_noisy"].values(),
        got["false_alarm_rate"],
    ):
        assert one["as_found"] == one["harmonised"]


@pytest.mark.usefixtures("small_forests")
def test_a_fit_that_rests_on_its_regularisation_is_said(world, tmp_path, capsys):
    picture_world.change_params(tmp_path, "gmm: {components: 1", "gmm: {components: 7")
    warnings = run()["harmonised"]["warnings"]
    shown = " ".join(capsys.readouterr().out.split())
    for state in ("as found", "harmonised"):
        (found,) = (
            one
            for one in warnings
            if one.startswith(f"{state}: 40 faces for 7 full covariances in 6 dimensions")
        )
        assert "rest on gmm.regularisation" in found and f"warning: {found}" in shown


def test_the_table_of_formats_has_every_set(once, world):
    sets = once[0]["sets"]
    assert set(sets) == set(world)
    for name, one in sets.items():
        photographs = name.startswith("photographic")
        assert one["faces"] == len(world[name]) and one["sizes"] == {"36x36": len(world[name])}
        assert one["formats"] == {"JPEG" if photographs else "PNG": one["faces"]}
        expected = (
            {"files": one["faces"], "min": 92, "median": 92, "max": 92} if photographs else None
        )
        assert one["jpeg_quality"] == expected
        assert one["chroma_subsampling"] == ({"4:2:0": one["faces"]} if photographs else {})


def test_formats_give_all_away_as_found_and_nothing_harmonised(once):
    got, shown, _ = once
    for one in got["metadata_classifier"]["generators"].values():
        assert one["as_found"] == {"auc": 1, "low": None, "high": None}
        assert one["harmonised"] == {"auc": 0.5, "low": None, "high": None}
    assert set(got["not_computed"]) == {
        f"sim_blurred, sim_noisy: interval of the AUC of the classifier of metadata, {state}"
        for state in ("as found", "harmonised")
    }
    assert got["metadata_classifier"]["worst"] == 1 and len(got["warnings"]) == 2
    assert 0 <= got["bytes_per_pixel_auc"]["sim_noisy"]["harmonised"] <= 1
    assert "warning: sim_blurred, as found: format" in shown and "sim_noisy" in shown


def test_the_size_of_files_is_bytes_over_pixels(once, world, tmp_path):
    sizes = [(tmp_path / "root" / name).stat().st_size / 36**2 for name in world["sim_noisy"]]
    assert once[0]["sets"]["sim_noisy"]["bytes_per_pixel"] == np.median(sizes)


@pytest.mark.usefixtures("small_forests")
def test_at_most_so_many_faces(world, tmp_path):
    picture_world.change_params(
        tmp_path, "{fit_faces: 1000, faces: 1000", "{fit_faces: 25, faces: 9"
    )
    got = run()
    assert got["harmonised"]["fit_faces"] == got["harmonised"]["calibration_faces"] == 25
    assert set(got["harmonised"]["faces"].values()) == {9}
    assert got["sets"][FIT]["faces"] == 40


def test_same_bytes_twice_and_with_other_workers(once, world, monkeypatch):
    monkeypatch.setenv("PIPELINE_WORKERS", "3")
    run()
    assert Path("out/metrics.json").read_bytes() == once[2]


# ---------------------------------------------------------------- what cannot be computed, and what
# is wrong


@pytest.mark.usefixtures("small_forests")
@pytest.mark.parametrize(
    ("faces", "reason"),
    [(3, r"at least 4 calibration photographs, got 3"), (1, "are the same for all 1 fit faces")],
)
def test_too_few_photographs_to_calibrate_leave_the_rest(world, tmp_path, capsys, faces, reason):
    picture_world.change_params(
        tmp_path, "{fit_faces: 1000, faces: 1000", f"{{fit_faces: {faces}, faces: 1000"
    )
    picture_world.change_params(tmp_path, "covariance_type: full", "covariance_type: diag")
    got = run()
    shown = " ".join(capsys.readouterr().out.split())
    for state in ("as_found", "harmonised"):
        assert got["harmonised"]["generators"]["sim_noisy"]["auc"][state]["value"] is None
        stated = got["not_computed"][f"{state.replace('_', ' ')} figures"]
        assert reason in stated and "controls.fit_faces" in stated and stated in shown
    assert got["metadata_classifier"]["worst"] == 1


@pytest.mark.usefixtures("small_forests")
def test_a_state_that_cannot_be_fitted_leaves_the_other(world, tmp_path, monkeypatch):
    """Harmonised into one and the same picture, the faces have no features that differ."""
    monkeypatch.setattr(confounds, "harmonise", lambda picture, *how: (np.zeros_like(picture), b""))
    got = run()
    one = got["harmonised"]["generators"]["sim_noisy"]["auc"]
    assert one["harmonised"]["value"] is None and one["as_found"]["low"] is not None
    assert (
        "harmonised figures" in got["not_computed"]
        and "as found figures" not in got["not_computed"]
    )


@pytest.mark.usefixtures("small_forests")
def test_a_generator_with_one_face_has_stated_gaps(world, tmp_path):
    picture_world.shorten(tmp_path, "sim_noisy", 1)
    got = run()
    assert got["metadata_classifier"]["generators"]["sim_noisy"]["as_found"]["auc"] is None
    assert got["harmonised"]["generators"]["sim_noisy"]["auc"]["harmonised"]["low"] is None
    assert {key for key in got["not_computed"] if key.startswith("sim_noisy")} == {
        "sim_noisy: interval of the AUC",
        "sim_noisy: AUC of the classifier of metadata",
    }


@pytest.mark.usefixtures("small_forests")
def test_files_with_odd_headers_are_counted(world, tmp_path, monkeypatch):
    """A file that PIL decodes though its header cannot be described."""
    describe, odd = (
        confounds.formats.describe,
        (tmp_path / "root" / world["sim_noisy"][0]).read_bytes(),
    )

    def strict(content):
        if content == odd:
            raise confounds.formats.UnreadableHeader("no quantisation table")
        return describe(content)

    monkeypatch.setattr(confounds.formats, "describe", strict)
    got = run()
    assert got["sets"]["sim_noisy"]["unreadable_headers"] == {"no quantisation table": 1}
    assert got["sets"]["sim_noisy"]["formats"] == {"PNG": 15}


def test_a_picture_that_is_gone_is_named(world, tmp_path):
    (tmp_path / "root" / world[FIT][2]).unlink()
    with pytest.raises(PipelineError, match=r"001_0\.jpg: missing"):
        run()


def test_a_picture_that_has_changed_is_an_error(world, tmp_path):
    buffer = io.BytesIO()
    picture_world.picture(999).save(buffer, "JPEG")
    (tmp_path / "root" / world[TEST][0]).write_bytes(buffer.getvalue())
    with pytest.raises(PipelineError, match=r"1 of 136 pictures have changed since .*040_0\.jpg"):
        run()
