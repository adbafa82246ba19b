"""The ONNX file in onnxruntime, against the detector; skipped without requirements-export.txt."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.detect.detector import Detector
from pipeline.export import onnx_file
from pipeline.export.__main__ import main
from pipeline.export.whole import LABELS, WholeDetector
from tests.detector_world import SIDES
from tests.picture_world import picture

for library in onnx_file.LIBRARIES:
    pytest.importorskip(library, reason=f"{library} is not installed: requirements-export.txt")


@pytest.fixture(scope="module")
def detector(world):
    return Detector.load(world / "models", device="cpu")


@pytest.fixture(scope="module")
def exported(world):
    """detector.onnx, written by the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(world)
        main(["--out", "exported/detector.onnx", "--data-licence", "cc-by-4.0"])
    return world / "exported/detector.onnx"


def test_two_hundred_faces_of_many_sizes_are_judged_as_by_the_detector(exported, detector):
    session, compared = onnx_file.session(exported), 0
    for side in range(SIDES[0] - 1, SIDES[1] + 2):  # with some that cannot be judged
        faces = np.stack([picture(100 * side + i, side, 36) for i in range(1 + 2 * (side - 29))])
        judged = detector.judge(faces)
        scores, p, verdicts = session.run(None, {"pictures": faces})
        assert scores == pytest.approx([one.anomaly_score for one in judged], abs=1e-3)
        near = [
            np.abs(detector.model.decisions.scores - one.anomaly_score).min() < 1e-3
            for one in judged
        ]
        for face, one in enumerate(judged):
            if not near[face]:  # of a calibration photograph's score, where rounding may decide
                wanted = np.nan if one.p_value is None else one.p_value
                assert p[face] == pytest.approx(wanted, nan_ok=True)
                assert LABELS[verdicts[face]] == one.verdict
                compared += 1
    assert compared >= 160


def test_no_faces_give_no_judgements(exported):
    found = onnx_file.session(exported).run(None, {"pictures": np.zeros((0, 35, 36, 3), np.uint8)})
    assert [array.shape for array in found] == [(0,)] * 3


def test_the_file_says_what_it_is_and_nothing_of_this_machine(exported, detector):
    said = onnx_file.session(exported).get_modelmeta().custom_metadata_map
    said = {name: json.loads(text) for name, text in said.items()}
    assert said["data_licence"] == "cc-by-4.0" and said["labels"] == list(LABELS)
    assert said["detector"] == detector.identity
    assert said["params"]["encoder"]["input_size"] == 32
    assert said["thresholds"]["flag"] == {"rate": 0.05, "score": -detector.offset_}
    assert said["thresholds"]["calibration_photographs"] == 39
    assert {"faces-as-anomalies", "torch", "onnx"} <= said["versions"].keys()
    content = exported.read_bytes()
    assert b"site-packages" not in content and str(Path.cwd()).encode() not in content
    assert "\nlicense: cc-by-4.0\n" in (exported.parent / "MODEL_CARD.md").read_text()


def test_a_file_that_computes_something_else_is_not_written(
    exported, tmp_path, detector, monkeypatch
):
    def save(path, external_data):
        shutil.copy(exported, path)

    program = SimpleNamespace(model=SimpleNamespace(metadata_props={}), save=save)
    monkeypatch.setattr(onnx_file, "_program", lambda module: program)
    assert onnx_file.write(tmp_path / "same.onnx", detector, {}) < 1e-3
    (tmp_path / "same.onnx").unlink()
    monkeypatch.setattr(detector, "score_samples", lambda pictures: np.zeros(len(pictures)))
    with pytest.raises(PipelineError, match="onnxruntime finds other scores"):
        onnx_file.write(tmp_path / "detector.onnx", detector, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("swapped", "what"),
    [
        (lambda score, p, verdict: (score, 1 - p, verdict), "p-values"),
        (lambda score, p, verdict: (score, p, 2 - verdict), "verdicts"),
        (lambda score, p, verdict: (score, p, verdict.clamp_max(2)), "verdicts"),  # never unjudged
    ],
)
def test_a_module_of_the_same_scores_and_other_judgements_is_not_written(
    tmp_path, detector, monkeypatch, swapped, what
):
    forward = WholeDetector.forward
    monkeypatch.setattr(
        WholeDetector, "forward", lambda self, pictures: swapped(*forward(self, pictures))
    )
    with pytest.raises(PipelineError, match=f"onnxruntime finds other {what}"):
        onnx_file.write(tmp_path / "detector.onnx", detector, {})
    assert list(tmp_path.iterdir()) == []
