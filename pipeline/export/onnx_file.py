"""The ONNX file: written from the whole detector, and held against it before it takes its name."""

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.detect.detector import Detector
from pipeline.export import agreement
from pipeline.export.whole import OUTPUTS, WholeDetector

INPUT = "pictures"
OPSET = 18  # the first whose Resize widens its kernel when it shrinks
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


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

    PipelineError, and nothing is written, where features are not of float32 or the two differ in
    scores, p-values or verdicts by more than rounding."""
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
        return agreement.check(session(temporary), detector)


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
