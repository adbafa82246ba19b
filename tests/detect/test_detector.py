"""The detector against the pipeline's own features, scores, p-values and verdicts."""

import shutil
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import betabinom

from pipeline.base.errors import PipelineError
from pipeline.calibration.thresholds import conformal_threshold
from pipeline.common import artifacts, pictures
from pipeline.common.names import HEADS
from pipeline.density.density import Density
from pipeline.detect.detector import UNJUDGED, Detector
from pipeline.detect.errors import NoModel, UnusableRate
from pipeline.face_sets import face_list, feature_sets
from tests.detector_world import SIDES
from tests.picture_world import picture


@pytest.fixture(scope="module")
def detector(world):
    return Detector.load(world / "models", device="cpu")


@pytest.fixture(scope="module")
def test_set(world):
    """The 21 photographs to test with: their files, and the features that extraction wrote."""
    faces = face_list.read(world / "photographic_test.csv")
    features = feature_sets.read(world / "features/photographic_test.npz", "photographic_test")
    return [world / "root" / face.name for face in faces], features


@pytest.fixture(scope="module")
def images(test_set):
    return [Image.open(path) for path in test_set[0]]


def scores_of(world, features):
    density = Density.from_arrays(artifacts.read_npz(world / "models/gmm.npz"))
    return density.anomaly_score(features.features, features.heads)


def test_features_are_those_of_extraction_to_the_bit(detector, images, test_set):
    outputs, _ = detector._encoded(images)
    expected = np.hstack([test_set[1].features, test_set[1].heads]).astype(np.float32)
    assert outputs.tobytes() == expected.tobytes()


def test_scores_are_those_of_the_pipeline_with_the_sign_of_scikit_learn(
    world, detector, images, test_set
):
    expected = scores_of(world, test_set[1])
    found = detector.score_samples(images)
    assert found.dtype == np.float64 and (found == -expected).all()


@pytest.mark.parametrize("made", ["world", "with_histories"])
def test_p_values_verdicts_and_heads_are_those_of_the_calibration(made, request):
    world = request.getfixturevalue(made)
    detector = Detector.load(world / "models", device="cpu")
    faces = feature_sets.read(world / "features/photographic_test.npz", "photographic_test")
    scores = scores_of(world, faces)
    own = artifacts.read_npz(world / "models/calibration.npz")
    p = [max((1 + sum(row >= score)) / 40 for row in own["scores"]) for score in scores]
    content = artifacts.read_json(world / "models/threshold.json")
    thresholds = [content["rates"][key]["threshold"] for key in ("at_10_percent", "at_5_percent")]
    judged = detector.judge([Image.open(world / "root" / name) for name in faces.names])
    assert [one.p_value for one in judged] == p
    z = (faces.heads - own["head_means"]) / own["head_deviations"]
    for i, one in enumerate(judged):
        above = sum(scores[i] > threshold for threshold in thresholds)
        assert one.verdict == ("pass", "review", "flag")[above] and one.anomaly_score == scores[i]
        assert one.reason == ("too unusual" if above else "")
        assert one.head == HEADS[np.argmax(np.abs(z[i]))]
        assert one.head_z == pytest.approx(z[i][np.argmax(np.abs(z[i]))])


def test_the_example_of_the_documentation_runs(root, world, test_set, monkeypatch, capsys):
    text = (root / "docs/detect.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(world)
    exec(code, {"paths": test_set[0]})
    assert len(capsys.readouterr().out.splitlines()) == len(test_set[0])


def test_the_conventions_of_scikit_learn(detector, images):
    noisy = np.random.default_rng(0).integers(0, 256, (5, 36, 36, 3), dtype=np.uint8)
    for given in (images, noisy):
        scores, offset = detector.score_samples(given), detector.offset_
        assert (detector.decision_function(given) == scores - offset).all()
        flagged = np.array([one.verdict == "flag" for one in detector.judge(given)])
        assert (detector.predict(given) == np.where(flagged, -1, 1)).all()
        assert (detector.p_values(given) == [one.p_value for one in detector.judge(given)]).all()
    assert (detector.predict(noisy) == -1).sum() >= 3
    for method in ("score_samples", "decision_function", "predict", "p_values"):
        assert getattr(detector, method)([]).shape == (0,)


@pytest.mark.parametrize("count", [1, 2, 16, 17])
def test_arrays_tensors_and_batches_of_them_are_the_same_as_images(detector, count):
    arrays = [picture(i) for i in range(count)]
    expected = detector.score_samples([Image.fromarray(array) for array in arrays])
    stacked = np.stack(arrays)
    tensors = torch.from_numpy(stacked).permute(0, 3, 1, 2)
    for given in (arrays, stacked, tensors, list(tensors), iter(arrays)):
        assert (detector.score_samples(given) == expected).all()
    alone = [detector.score_samples(one)[0] for one in (*arrays, *tensors)]
    assert alone == pytest.approx([*expected, *expected], rel=1e-4)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "turned"])
def test_an_image_is_scored_as_its_file(detector, tmp_path, mode):
    path, image, exif = tmp_path / "face.png", Image.fromarray(picture(3)), Image.Exif()
    if mode == "turned":
        exif[0x0112] = 6
    elif mode == "I;16":
        image = Image.fromarray(picture(3)[..., 0].astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(picture(4)[..., 0]))
    image.save(path, exif=exif)
    expected = detector.score_samples([pictures.read_picture(path)])
    assert detector.score_samples(Image.open(path)) == expected


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (np.zeros((36, 36, 3)), ValueError, "uint8"),
        (torch.zeros(3, 36, 36), ValueError, "neither scaled nor normalised"),
        (np.zeros((3, 36, 36), np.uint8), ValueError, r"\(height, width, 3\), not \(3, 36, 36\)"),
        (torch.zeros(36, 36, 3, dtype=torch.uint8), ValueError, r"\(3, height, width\)"),
        (np.zeros((36, 36), np.uint8), ValueError, "shape"),
        (np.zeros((0, 36, 3), np.uint8), ValueError, "shape"),
        ("face.jpg", TypeError, "read files with PIL"),
        (["face.jpg"], TypeError, "read files with PIL"),
        (3, TypeError, "not int"),
    ],
)
def test_what_is_no_picture_is_refused(detector, given, error, words):
    with pytest.raises(error, match=words):
        detector.score_samples(given)


def test_threads_that_share_a_detector_get_what_one_would(detector, images, monkeypatch):
    monkeypatch.setenv("PIPELINE_WORKERS", "2")
    expected = detector.score_samples(images)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    found = {}

    def work(number):
        for i in range(3):
            found[number, i] = detector.score_samples(images)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12 and all((scores == expected).all() for scores in found.values())
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_sizes_that_no_calibration_photograph_had_cannot_be_judged(detector):
    low, high = SIDES
    sizes = {(low, high): "", (low - 1, high): "smaller", (high + 1, low): "larger", (1, 1): "smal"}
    judged = detector.judge([picture(5, *size) for size in sizes])
    for one, word in zip(judged, sizes.values(), strict=True):
        assert one.reason.startswith(word) and (one.verdict == UNJUDGED) == bool(word)
        assert (one.p_value is None) == bool(word) and np.isfinite(one.anomaly_score)


def test_a_rate_that_was_not_calibrated_is_computed(world, images):
    scores = artifacts.read_npz(world / "models/calibration.npz")["scores"][0]
    detector = Detector.load(world / "models", false_alarm_rate=0.025, device="cpu")  # 1 / 40
    assert detector.offset_ == -scores.max() == -conformal_threshold(scores, 0.025)
    assert (detector.model.rates.flag, detector.model.rates.review) == (0.025, 0.1)
    detector = Detector.load(world / "models", false_alarm_rate=0.3, device="cpu")
    assert (detector.model.rates.flag, detector.model.rates.review) == (0.3, 0.3)
    assert {one.verdict for one in detector.judge(images)} <= {"pass", "flag"}


def test_of_several_histories_the_largest_threshold_counts(with_histories):
    own = artifacts.read_npz(with_histories / "models/calibration.npz")["scores"]
    detector = Detector.load(with_histories / "models", false_alarm_rate=0.2, device="cpu")
    assert own.shape == (3, 39)
    assert detector.offset_ == -max(np.sort(row)[32 - 1] for row in own)  # ceil(40 * 0.8)


def test_a_rate_that_needs_more_photographs_says_how_many(world):
    with pytest.raises(UnusableRate, match=r"0\.02 needs at least 49 .*there are 39.* 0\.025"):
        Detector.load(world / "models", false_alarm_rate=0.02, device="cpu")


def test_rates_hold_on_new_photographs(detector, tmp_path):
    """One draw of 200 pictures made as the calibration's: no more flagged than in 999 of 1,000
    draws of 39 to calibrate with and 200 to flag; of such the rate is Beta(2, 38).
    """
    new = []
    for i in range(200):
        path = tmp_path / f"{i}.{('png', 'jpg')[i % 2]}"
        Image.fromarray(picture(10_000 + i, 30 + i % 11, 40 - i % 7)).save(path)
        new.append(Image.open(path))
    flagged = (detector.predict(new) == -1).sum()
    assert flagged <= betabinom.isf(0.001, 200, 2, 38)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda models: (models / "gmm.npz").unlink(), "no gmm.npz here"),
        (lambda models: (models / "encoder.safetensors").write_bytes(b"x"), "safetensors"),
        (lambda models: (models / "threshold.json").write_text("{}"), "malformed"),
        (lambda models: (models / "calibration.npz").write_bytes(b"x"), "calibration.npz"),
        (lambda models: _change(models, scores=np.arange(39.0)[None]), "of different runs"),
        (lambda models: _change(models, scores=np.arange(5.0)[None]), "malformed rate"),
        (lambda models: _change(models, sizes=np.zeros((3, 2))), "malformed sizes"),
    ],
)
def test_a_folder_that_is_no_model_says_why(world, tmp_path, change, words):
    shutil.copytree(world / "models", tmp_path / "models")
    change(tmp_path / "models")
    with pytest.raises(NoModel, match=words):
        Detector.load(tmp_path / "models")


def _change(models, **arrays):
    path = models / "calibration.npz"
    artifacts.write_npz(path, **{**artifacts.read_npz(path), **arrays})


def test_calibrate_keeps_the_sizes_of_its_photographs(world):
    names = feature_sets.read(world / "features/photographic_calibration.npz", "a").names
    sizes = [Image.open(world / "root" / name).size for name in names]
    found = artifacts.read_npz(world / "models/calibration.npz")["sizes"]
    assert [tuple(size) for size in found.tolist()] == sizes


def test_without_sizes_every_size_is_judged(world, tmp_path):
    shutil.copytree(world / "models", tmp_path / "models")
    path = tmp_path / "models/calibration.npz"
    arrays = artifacts.read_npz(path)
    del arrays["sizes"]
    artifacts.write_npz(path, **arrays)
    detector = Detector.load(tmp_path / "models", device="cpu")
    assert detector.judge([picture(1, 8, 8)])[0].verdict != UNJUDGED


def test_the_precision_is_that_of_the_features(world, tmp_path, images, detector):
    shutil.copytree(world / "models", tmp_path / "models")
    path = tmp_path / "models/threshold.json"
    assert artifacts.read_json(path)["precision"] == "float32"
    artifacts.write_json(path, {**artifacts.read_json(path), "precision": "bfloat16"})
    low = Detector.load(tmp_path / "models", device="cpu").score_samples(images)
    assert not np.array_equal(low, detector.score_samples(images))


def test_a_device_that_is_absent_is_named(world, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PipelineError, match="device: cuda"):
        Detector.load(world / "models", device="cuda")
