"""What params.yaml may hold: every section, its keys, their types and ranges."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from pipeline.base.values import (
    Count,
    CovarianceType,
    Device,
    Generators,
    PersonPattern,
    Perturbations,
    Precision,
    Range,
    RisingShares,
    Share,
    SmallShares,
)


class Section(BaseModel):
    """A part of params.yaml: no unknown keys, no silent conversions ("5", `no` and 1 are not 5,
    false and true).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Data(Section):
    """Where the pictures lie, and how file names tell who is on them."""

    root: str = Field(min_length=1)
    person_pattern: PersonPattern
    maximum_unreadable_share: float = Field(ge=0, lt=1)
    maximum_fit_faces: Count
    maximum_faces: Count


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
    warp_sigma: SmallShares
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
    tie_stops: float = Field(ge=0, le=2)
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
    compile: bool


class FeatureExtraction(Section):
    """How whole pictures become features."""

    batch_size: Count
    device: Device
    precision: Precision


class Gmm(Section):
    """The density of photographic features."""

    components: Count
    covariance_type: CovarianceType
    standardise: bool
    pca_components: int = Field(ge=0)
    regularisation: float = Field(gt=0)
    maximum_iterations: Count
    tolerance: float = Field(gt=0)
    starts: Count
    device: Device


class Calibration(Section):
    """The promises made about photographic faces."""

    false_alarm_rates: RisingShares
    review_rate: Share
    flag_rate: Share

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

    epochs: int = Field(ge=0)


class Explanation(Section):
    """What is shown of the feature space."""

    projected_faces: int = Field(ge=2)
    faces: int = Field(ge=1, le=20)


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
    bootstrap: Bootstrap
    robustness: Robustness
    harmonisation: Harmonisation
    controls: Controls
    shuffled: Shuffled
    explanation: Explanation
    generators: Generators
    perturbations: Perturbations
