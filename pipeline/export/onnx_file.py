"""The ONNX file: written from the whole detector, and held against it before it takes its name."""

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.detect.detector import Detector
from pipeline.export.whole import OUTPUTS, WholeDetector

INPUT = "pictures"
OPSET = 18  # the first whose Resize widens its kernel when it shrinks
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
TRIED = 8  # drawn pictures that the file is held against the detector with
ABSOLUTE, RELATIVE = 1e-3, 1e-5  # tolerances of scores; features are float32, here as there


def check_libraries() -> None:
    """PipelineError where a library is missing that the export needs and the pipeline does not."""
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise PipelineError(
                f"the export needs {name} ({error}): pip install -r requirements-export.txt"
            ) from None


def write(path: Path, detector: Detector, properties: Mapping[str, str]) -> float:
    """Write the detector with its metadata; returns the largest difference of scores between
    onnxruntime and the detector on drawn pictures.

    PipelineError, and nothing is written, where features are not of float32 or the two differ by
    more than rounding."""
    precision = detector.model.precision
    if precision != "float32":
        raise PipelineError(
            f"features.precision {precision}: an ONNX file computes in float32, and the thresholds "
            "are of other features: set it to float32 and run dvc repro"
        )
    program = _program(WholeDetector(detector.model).eval())
    program.model.metadata_props.update(properties)
    with atomic(path) as temporary:
        program.save(temporary, external_data=False)
        return _difference(temporary, detector)


def session(path: Path, threads: int = 0) -> Any:
    """The file in onnxruntime, on the CPU, on so many threads (0: as many as there are cores)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _program(module: WholeDetector) -> Any:
    """The module as a program of ONNX, in which no path of this machine is left."""
    size, dynamic = module.preprocessing.input_size, torch.export.Dim
    example = torch.zeros(2, size + 8, size + 16, 3, dtype=torch.uint8)  # no size is special
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=OUTPUTS,
            dynamic_shapes={
                INPUT: {0: dynamic("faces"), 1: dynamic("height"), 2: dynamic("width")}
            },
        )
    assert program is not None
    graph = program.model.graph
    parts: list[Any] = [graph, *graph.all_nodes(), *graph.inputs, *graph.outputs]
    for part in parts:
        part.metadata_props.clear()  # traces of the Python stack
    return program


def _difference(path: Path, detector: Detector) -> float:
    sizes, size = detector.model.sizes, detector.model.preprocessing.input_size
    sides = (sizes.shortest, sizes.longest) if sizes else (size, size)
    draws = randomness.generator(0, "export")
    pictures = draws.integers(0, 256, (TRIED, *sides, 3), dtype=np.uint8)
    wanted = -detector.score_samples(pictures)
    found = session(path).run(OUTPUTS[:1], {INPUT: pictures})[0]
    difference = float(np.abs(found - wanted).max())
    if not np.allclose(found, wanted, rtol=RELATIVE, atol=ABSOLUTE):
        raise PipelineError(
            f"onnxruntime finds other scores than the detector, by up to {difference:.3g}: nothing "
            "was written; look whether this architecture is one that torch.onnx.export can write"
        )
    return difference
