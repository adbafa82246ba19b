"""What cannot be exported is said in one sentence, before any work."""

import sys
from dataclasses import replace

import pytest

from pipeline.base.errors import PipelineError
from pipeline.detect.detector import Detector
from pipeline.export import onnx_file
from pipeline.export.__main__ import main


def test_a_missing_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setitem(sys.modules, "onnx", sys)
    with pytest.raises(PipelineError, match=r"needs onnxscript .*requirements-export\.txt") as said:
        main(["--model", "nowhere"])
    assert str(said.value).isprintable()


def test_thresholds_of_features_in_bfloat16_are_refused(world, tmp_path):
    detector = Detector.load(world / "models", device="cpu")
    detector.model = replace(detector.model, precision="bfloat16")
    with pytest.raises(PipelineError, match=r"features\.precision bfloat16: .*float32"):
        onnx_file.write(tmp_path / "detector.onnx", detector, {})
