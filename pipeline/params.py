"""The typed schema of params.yaml: a wrong, missing or unknown parameter stops a stage at once."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from pipeline.errors import PipelineError
from pipeline.yaml_files import read_yaml


def _one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if pattern and groups != 1:
        raise ValueError("needs exactly one group in parentheses, or must be empty")
    return pattern


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if not 0 < pair[0] < pair[1]:
        raise ValueError("needs two positive numbers, the smaller first")
    return pair


def _small_shares(pair: tuple[float, float]) -> tuple[float, float]:
    if not 0 < pair[0] <= pair[1] < 0.2:
        raise ValueError("needs 0 < low <= high < 0.2 (shares of the side)")
    return pair


def _distinct_sets(names: list[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands twice: name each folder once")
    reserved = sorted(name for name in names if name.startswith("photographic_") or name == "mean")
    if reserved:
        raise ValueError(f"{', '.join(reserved)}: 'mean' and 'photographic_*' are names of results, rename the folder")
    return names


Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Pair = Annotated[tuple[float, float], Field(strict=False)]  # YAML has lists only; the two numbers stay strict
Range = Annotated[Pair, AfterValidator(_ascending)]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Section(BaseModel):
    """A part of params.yaml: no unknown keys, no silent conversions ("5", `no` and 1 are not 5, false and true)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Data(Section):
    """Where the pictures lie, and how file names tell who is on them."""

    root: str = Field(min_length=1)
    person_pattern: Annotated[str, AfterValidator(_one_group)]


class Simulation(Section):
    """Sizes of the simulated sample."""

    photographs: Count
    portraits: Count
    generated: Count
    bad_share: float = Field(ge=0, lt=0.5)


class Exif(Section):
    """Plausible range of each tag, ends included."""

    iso: Range
    f_number: Range
    exposure_time_s: Range
    focal_length_mm: Range


class Split(Section):
    """Shares of the hashed splits."""

    validation: Share
    calibration: Share


class Manipulation(Section):
    """How negatives are made from photographic faces."""

    source: Literal["generate", "ready-made"]
    warp_sigma: Annotated[Pair, AfterValidator(_small_shares)]
    blend_ratios: list[Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1)


class Pretext(Section):
    """The encoder and its training."""

    architecture: str = Field(min_length=1)
    feature_dim: Count
    start: str = Field(min_length=1)
    input_size: int = Field(ge=32, le=1024)
    face_scale: float = Field(ge=0.5, le=4)
    antialias: bool
    photograph_probability: Share
    epochs: int = Field(ge=0)
    batch_size: int = Field(ge=4)
    learning_rate: float = Field(gt=0)
    betas: Annotated[tuple[Share, Share], Field(strict=False)]
    epsilon: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    schedule_epochs: Count
    minimum_learning_rate: float = Field(ge=0)
    device: Device
    precision: Precision
    channels_last: bool
    compile: bool


class FeatureExtraction(Section):
    """How whole pictures become features."""

    resize: Literal["bilinear", "bicubic", "nearest"]
    antialias: bool
    batch_size: Count
    device: Device
    precision: Precision
    maximum_unreadable_share: float = Field(ge=0, lt=1)
    maximum_fit_faces: Count
    maximum_faces: Count


class Gmm(Section):
    """The density of photographic features."""

    components: Count
    covariance_type: Literal["full", "tied", "diag", "spherical"]
    standardise: bool
    pca_components: int = Field(ge=0)
    regularisation: float = Field(gt=0)
    maximum_iterations: Count
    tolerance: float = Field(gt=0)
    starts: Count
    device: Device


class Calibration(Section):
    """The promise made about photographic faces."""

    false_alarm_rate: Share


class Evaluation(Section):
    """Sizes of the evaluation per generator."""

    histogram_bins: int = Field(ge=2, le=500)
    faces_shown: int = Field(ge=1, le=20)


Generators = Annotated[list[FolderName], Field(min_length=1), AfterValidator(_distinct_sets)]


class Params(Section):
    """All of params.yaml."""

    seed: int = Field(ge=0)
    launcher: str = Field(min_length=1)
    data: Data
    simulation: Simulation
    exif: Exif
    split: Split
    manipulation: Manipulation
    pretext: Pretext
    features: FeatureExtraction
    gmm: Gmm
    calibration: Calibration
    evaluation: Evaluation
    generators: Generators


def load(*sections: str, path: str | Path = "params.yaml") -> Any:
    """The named top-level sections of a params file, validated; others are not visible and not validated.

    Named as in dvc.yaml's `params:`, so that a stage sees what DVC watches. Raises PipelineError with file, key and value.
    """
    tree = read_yaml(path)
    if unknown := sorted(map(str, tree.keys() - Params.model_fields.keys())):
        raise PipelineError(f"{path}: unknown sections: {', '.join(unknown)}; known are {', '.join(Params.model_fields)}")
    fields: Any = {name: (Params.model_fields[name].annotation, Params.model_fields[name]) for name in sections}
    part = create_model("Params", __base__=Section, **fields)
    return _validate(part, {name: tree[name] for name in sections if name in tree}, path)


def check_generator(name: str) -> str:
    """The name, if `generators` may hold it: it becomes a folder, a file name and a part of a command."""
    try:
        TypeAdapter(Generators).validate_python([name])
    except ValidationError as error:
        raise PipelineError(f"generators: {name!r} is no usable name: {error.errors()[0]['msg']}") from None
    return name


def load_all(path: str | Path = "params.yaml") -> Params:
    """The whole params file, validated, unknown sections refused."""
    return _validate(Params, read_yaml(path), path)


def _validate(model: type[Section], tree: dict[str, Any], path: str | Path) -> Any:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise PipelineError(f"{path}: wrong parameters\n" + "\n".join(_explain(e) for e in error.errors())) from None


def _explain(problem: Any) -> str:
    """One line: the key, its value, and what is allowed."""
    key, value = ".".join(str(part) for part in problem["loc"]), repr(problem["input"])
    if problem["type"] == "missing":
        return f"  {key}: missing; params.yaml's comments say what is allowed"
    if problem["type"] == "extra_forbidden":
        return f"  {key}: unknown key; correct its spelling (params.yaml shows every key) or remove it"
    return f"  {key} = {value:.60}: {problem['msg'].removeprefix('Value error, ')}"
