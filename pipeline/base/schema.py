"""What params.yaml may hold: every section, its keys, their types and ranges."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.base.values import (
    Count,
    Device,
    Generators,
    License,
    LossWeights,
    NotNegative,
    NotStrict,
    Perturbations,
    Positive,
    Precision,
    Range,
    Rate,
    Share,
    SmallShare,
    TagName,
    Text,
    Width,
    ascending,
    clean_first,
    distinct,
    face_detector,
    history,
    known_or_described,
    no_number,
    one_group,
    program,
    quoted,
)


class Section(BaseModel):
    """A part of params.yaml: no unknown keys, no silent conversions ("5", `no` and 1 are not 5,
    false and true).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Data(Section):
    """Where the pictures lie, and how file names tell who is on them."""

    root: Annotated[str, AfterValidator(quoted)]
    person_pattern: Annotated[str, AfterValidator(one_group)]
    maximum_unreadable_share: float = Field(ge=0, lt=1)
    maximum_fit_faces: Count
    maximum_faces: Count


class Simulation(Section):
    """Sizes of the simulated sample."""

    photographs: Count
    portraits: Count
    generated: Count
    bad_share: float = Field(ge=0, lt=0.5)


class FurtherTag(Section):
    """A tag beside KNOWN_TAGS: where it stands, what is plausible, and what one stop of it is."""

    name: Text
    unit: str
    range: Annotated[tuple[float, float], NotStrict, AfterValidator(ascending)]
    scale: Literal["log2", "linear"]
    stops: Positive

    @model_validator(mode="after")
    def has_logarithms(self) -> "FurtherTag":
        """On the scale log2 a value is above 0."""
        if self.scale == "log2" and self.range[0] <= 0:
            raise ValueError("scale log2 needs a range above 0; raise it, or set scale to linear")
        return self


AnyTag = Annotated[
    Annotated[Range, Tag("()")] | Annotated[FurtherTag, Tag("(a mapping)")],
    Discriminator(lambda given: "(a mapping)" if isinstance(given, dict | FurtherTag) else "()"),
]


class Exif(Section):
    """Where faces with EXIF come from, and the tags to rank, in the order of the encoder's heads: a
    known one with its plausible range, ends included, a further one with all that is needed to read
    it.
    """

    source: Literal["fdf", "yfcc", "photos"]
    licenses: Annotated[list[License], AfterValidator(distinct)]
    face_detector: Annotated[str, AfterValidator(face_detector)]
    photographer_pattern: Annotated[str, AfterValidator(one_group)]
    reject: Annotated[list[Literal["edited", "shrunken", "generated"]], AfterValidator(distinct)]
    require: Literal["all", "any"]
    tags: Annotated[dict[TagName, AnyTag], Field(min_length=1), AfterValidator(known_or_described)]


class Split(Section):
    """Shares of the hashed splits."""

    validation: Share
    calibration: Share


class Manipulation(Section):
    """How negatives are made from photographic faces."""

    source: Literal["generate", "ready-made"]
    warp_sigma: Annotated[tuple[SmallShare, SmallShare], NotStrict, AfterValidator(ascending)]
    blend_ratios: list[Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1)


class Augmentation(Section):
    """What is drawn anew for each training face in each epoch."""

    flip: bool
    crop: float = Field(ge=0.25, le=1)  # of 32 pixels, the least input, eight
    histories: float = Field(ge=0, le=1)


class Pretext(Section):
    """The encoder and its training."""

    architecture: Text
    widths: Annotated[tuple[Width, ...], NotStrict, Field(min_length=2)]
    blocks: Count
    levels: Literal["last", "all"]
    pooling: Literal["mean", "statistics"]
    feature_dim: Count
    start: Text
    input_size: int = Field(ge=32, le=1024)
    face_scale: float = Field(ge=0.5, le=4)
    antialias: bool
    augmentation: Augmentation
    photograph_probability: Share | Literal["paired"]
    tie_stops: float = Field(ge=0, le=2)
    loss_weights: LossWeights
    dropout: Rate
    stochastic_depth: Rate
    epochs: NotNegative
    batch_size: int = Field(ge=4)
    optimiser: Literal["adam", "adamw"]
    learning_rate: Positive
    betas: Annotated[tuple[Share, Share], NotStrict]
    epsilon: Positive
    weight_decay: float = Field(ge=0)
    schedule: Literal["cosine", "one_cycle"]
    schedule_epochs: Count
    warmup: Rate
    minimum_learning_rate: float = Field(ge=0)
    device: Device
    precision: Precision
    tf32: bool
    deterministic: bool
    compile: Annotated[Literal[True, False, "cuda_graphs"], BeforeValidator(no_number)]

    @property
    def photograph_share(self) -> float:
        """Of the pictures that training sees, 0 to 1."""
        paired = self.photograph_probability == "paired"
        return 0.5 if paired else float(self.photograph_probability)


class FeatureExtraction(Section):
    """How whole pictures become features."""

    batch_size: Count
    device: Device
    precision: Precision


class Gmm(Section):
    """The density of photographic features."""

    components: Count
    covariance_type: Literal["full", "tied", "diag", "spherical"]
    standardise: bool
    pca_components: NotNegative
    regularisation: Positive
    maximum_iterations: Count
    tolerance: Positive
    starts: Count
    device: Device
    shrinkage: Literal["none", "ledoit_wolf", "oas"]
    residual: bool
    input: Literal["features", "heads", "both"]

    @model_validator(mode="after")
    def _together(self) -> "Gmm":
        shrinkage = shrinkage_fault(self.shrinkage, self.components, self.covariance_type)
        if fault := shrinkage or residual_fault(self.residual, self.pca_components):
            raise ValueError(fault)
        return self


def shrinkage_fault(shrinkage: str, components: int, covariance_type: str) -> str:
    """Why such a mixture cannot be shrunk, or ""."""
    if shrinkage == "none" or (components, covariance_type) == (1, "full"):
        return ""
    return (
        f"gmm.shrinkage {shrinkage} is of one full covariance, not of {components} "
        f"{covariance_type}: set gmm.components to 1 and gmm.covariance_type to full, or "
        "gmm.shrinkage to none"
    )


def residual_fault(residual: bool, pca_components: int) -> str:
    """Why there is no residual to count, or ""."""
    if not residual or pca_components:
        return ""
    return (
        "gmm.residual is of what principal components leave out, but gmm.pca_components is 0: set "
        "gmm.residual to false, or gmm.pca_components above 0"
    )


class Calibration(Section):
    """The promises made about photographic faces."""

    false_alarm_rates: Annotated[
        list[Share], Field(min_length=1), AfterValidator(ascending), AfterValidator(distinct)
    ]
    review_rate: Share
    flag_rate: Share
    sides: Literal["upper", "both"]
    histories: Annotated[
        list[Annotated[str, AfterValidator(history)]],
        Field(min_length=1),
        AfterValidator(distinct),
        AfterValidator(clean_first),
    ]

    @field_validator("review_rate", "flag_rate")
    @classmethod
    def of_the_list(cls, rate: float, info: ValidationInfo) -> float:
        """One of the rates; flag_rate not larger than review_rate."""
        if rate not in (rates := info.data.get("false_alarm_rates", [rate])):
            raise ValueError(f"none of false_alarm_rates {rates}: name one")
        if rate > info.data.get("review_rate", rate):
            raise ValueError(
                "must not be larger than review_rate: what is flagged is rarer than what is "
                "reviewed"
            )
        return rate


class Bootstrap(Section):
    """How often the test faces are resampled for intervals."""

    resamples: int = Field(ge=100)


class Robustness(Section):
    """Faces of each set that are evaluated under perturbations."""

    faces: Count


class Harmonisation(Section):
    """What every face of both classes goes through, so that no file format tells them apart."""

    side: int = Field(ge=16, le=4096)
    kernel: Literal["bilinear", "bicubic", "lanczos"]
    jpeg_quality: int = Field(ge=1, le=100)


class Controls(Section):
    """Sizes of the controls."""

    fit_faces: Count
    faces: Count


class Shuffled(Section):
    """The training with shuffled EXIF tags."""

    epochs: NotNegative


class Explanation(Section):
    """What is shown of the feature space."""

    projected_faces: int = Field(ge=2)
    faces: int = Field(ge=1, le=20)


class Params(Section):
    """All of params.yaml."""

    seed: NotNegative
    launcher: Annotated[str, AfterValidator(program)]
    data: Data
    simulation: Simulation
    exif: Exif
    split: Split
    manipulation: Manipulation
    pretext: Pretext
    features: FeatureExtraction
    gmm: Gmm
    calibration: Calibration
    bootstrap: Bootstrap
    robustness: Robustness
    harmonisation: Harmonisation
    controls: Controls
    shuffled: Shuffled
    explanation: Explanation
    generators: Generators
    perturbations: Perturbations
