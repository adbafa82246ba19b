"""Which tags are read, as params.yaml says it."""

from typing import Any

from pipeline.base.schema import Exif
from pipeline.exif.tags import Wanted

BOUNDS = {
    "iso": (6.0, 409600.0),
    "f_number": (0.7, 64.0),
    "exposure_time_s": (1 / 32000, 60.0),
    "focal_length_mm": (1.0, 2000.0),
}
BRIGHTNESS = {
    "name": "BrightnessValue",
    "unit": "EV",
    "range": [-10.0, 15.0],
    "scale": "linear",
    "stops": 1,
}
EQUIVALENT = {
    "name": "Focal Length In 35mm Film",
    "unit": "mm",
    "range": [5.0, 4000.0],
    "scale": "log2",
    "stops": 1,
}


def wanted(tags: dict[str, Any], require: str = "all") -> Wanted:
    """These tags: their names, with ranges or descriptions."""
    others = {"face_detector": "centerface", "photographer_pattern": ""}
    given = {
        **others,
        "source": "fdf",
        "licenses": [],
        "reject": [],
        "require": require,
        "tags": tags,
    }
    return Wanted.of(Exif.model_validate(given))


FOUR = wanted(BOUNDS)
