"""The typed schema of params.yaml: a wrong, missing or unknown parameter stops a stage at once."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from pipeline.errors import PipelineError

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Range = Annotated[tuple[float, float], Field(min_length=2, max_length=2)]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Section(BaseModel):
    """A part of params.yaml: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """Where the pictures lie, and how file names tell who is on them."""

    root: str = Field(min_length=1)
    person_pattern: str

    @model_validator(mode="after")
    def _compiles(self) -> "Data":
        try:
            groups = re.compile(self.person_pattern).groups
        except re.error as error:
            raise ValueError(f"person_pattern is no regular expression: {error}") from None
        if self.person_pattern and groups != 1:
            raise ValueError("person_pattern needs exactly one group in parentheses, or must be empty")
        return self


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

    @model_validator(mode="after")
    def _ordered(self) -> "Exif":
        for name, (low, high) in self.model_dump().items():
            if not 0 < low < high:
                raise ValueError(f"{name} needs two positive numbers, the smaller first, not [{low}, {high}]")
        return self


class Split(Section):
    """Shares of the hashed splits."""

    validation: Share
    calibration: Share


class Manipulation(Section):
    """How negatives are made from photographic faces."""

    source: Literal["generate", "ready-made"]
    warp_sigma: Range
    blend_ratios: list[Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> "Manipulation":
        low, high = self.warp_sigma
        if not 0 < low <= high < 0.2:
            raise ValueError(f"warp_sigma needs 0 < low <= high < 0.2 (shares of the side), not [{low}, {high}]")
        return self


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
    betas: Annotated[tuple[Share, Share], Field(min_length=2, max_length=2)]
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


class Gmm(Section):
    """The density of photographic features."""

    components: Count
    covariance_type: Literal["full", "tied", "diag", "spherical"]
    standardise: bool
    pca_components: int = Field(ge=0)
    regularisation: float = Field(ge=0)
    maximum_iterations: Count
    tolerance: float = Field(gt=0)
    starts: Count


class Calibration(Section):
    """The promise made about photographic faces."""

    false_alarm_rate: Share


class Evaluation(Section):
    """Sizes of the evaluation per generator."""

    maximum_faces: Count
    histogram_bins: int = Field(ge=2, le=500)
    faces_shown: int = Field(ge=1, le=20)


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
    generators: list[FolderName] = Field(min_length=1)

    @model_validator(mode="after")
    def _generators_differ(self) -> "Params":
        twice = sorted({g for g in self.generators if self.generators.count(g) > 1})
        if twice:
            raise ValueError(f"generators lists {', '.join(twice)} twice: name each folder once")
        reserved = sorted(g for g in self.generators if g.startswith("photographic_") or g == "mean")
        if reserved:
            raise ValueError(f"generators lists {', '.join(reserved)}: 'mean' and 'photographic_*' are names of results")
        return self


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars, as DVC reads them: 1e-3 is a number, `no` is a text, and a key stands once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """A mapping; a key given twice is an error instead of the last one winning."""
        keys = [k.value for k, _ in node.value]
        twice = sorted({k for k in keys if keys.count(k) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"),
    list("-+0123456789."),
)


def load(*sections: str, path: str | Path = "params.yaml") -> Any:
    """The named top-level sections of a params file, validated; others are not visible and not validated.

    Sections are named as in dvc.yaml's `params:`, so that a stage sees what DVC watches and nothing else.
    Raises PipelineError with file, key, value and what is allowed.
    """
    tree = read_yaml(path)
    fields: Any = {name: (Params.model_fields[name].annotation, Params.model_fields[name]) for name in sections}
    part = create_model("Params", __base__=Section, **fields)
    return _validate(part, {name: tree[name] for name in sections if name in tree}, path)


def load_all(path: str | Path = "params.yaml") -> Params:
    """The whole params file, validated, unknown sections refused."""
    return _validate(Params, read_yaml(path), path)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping read by YAML 1.2's rules for numbers and booleans, without any Python objects."""
    try:
        tree = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file; run in the repository's root, or copy profiles/*.yaml there") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise PipelineError(f"{path}: expected a mapping of sections, found {type(tree).__name__}")
    return tree


def _validate(model: type[Section], tree: dict[str, Any], path: str | Path) -> Any:
    try:
        return model.model_validate(tree, strict=False)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in problem['loc']) or '(file)'} = {problem['input']!r}: {problem['msg']}"
            if problem["type"] != "missing"
            else f"  {'.'.join(str(part) for part in problem['loc'])}: missing; see params.yaml's comments for legal values"
            for problem in error.errors()
        ]
        raise PipelineError(f"{path}: wrong parameters\n" + "\n".join(lines)) from None
