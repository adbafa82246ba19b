"""Items of the simulated sample, each a pure function of (seed, number)."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.common import randomness
from pipeline.common.names import LANDMARKS
from pipeline.simulation import camera, generators, scene, shots
from pipeline.simulation.parts import Subject

CROP = 88  # pixels, side of the face box enlarged by 1.3
FIRST_FACE_ID, FIRST_PHOTO_ID = 100_000, 5_000_000_000
PICTURES_PER_PERSON = 2
TEST_SHARE = 0.35  # of the persons of the target domain, as test.txt lists them
BAD_KINDS = (
    "iso_missing",
    "f_number_empty",
    "exposure_unknown",
    "picture_truncated",
    "json_broken",
    "json_missing",
)


@dataclass(frozen=True)
class FaceRecord:
    """One face of the pretext part: picture uint8 (128, 128, 3), its photo's EXIF strings and FDF
    metadata; `bad`: how the record is broken, if at all. Whoever writes the files breaks those.
    """

    face_id: str
    photo_id: str
    picture: np.ndarray
    exif: dict[str, str]
    metainfo: dict[str, Any]
    bad: str | None


def face_record(seed: int, number: int, *, photographs: int, bad_share: float) -> FaceRecord:
    """Photograph `number` of the wide domain, everything that cameras do; a share is broken."""
    rng = randomness.generator(seed, "photograph", number)
    ev100 = rng.normal(*((6.0, 1.5), (9.0, 1.5), (13.0, 1.2))[rng.integers(3)])
    shot = shots.draw_shot(rng, ev100)
    person, pose = scene.draw_person(rng), scene.draw_pose(rng)
    subject = Subject(person, pose, scene.draw_light(rng, ev100), shot)
    picture = camera.photograph(rng, generators.render(rng, subject), shot)
    photo_id = str(FIRST_PHOTO_ID + number)
    author = f"author{randomness.key(seed, 'author', number) % max(1, photographs // 3):05d}"
    place = rng.random() / bad_share if bad_share else 1.0
    bad = BAD_KINDS[int(place * len(BAD_KINDS))] if place < 1 else None
    return FaceRecord(
        face_id=str(FIRST_FACE_ID + number),
        photo_id=photo_id,
        picture=camera.jpeg(picture, shot.jpeg_quality),
        exif=_broken(exif_strings(rng, shot), bad),
        metainfo={"author": author, "photo_id": photo_id, **_fdf_metainfo(rng, subject)},
        bad=bad,
    )


def exif_strings(rng: np.random.Generator, shot: shots.Shot) -> dict[str, str]:
    """The tags written as YFCC100M has them; now and then with a fraction that is not reduced."""
    denominator = round(1 / shot.exposure_time_s)
    exposure = f"1/{denominator}sec" if rng.random() > 0.05 else f"10/{10 * denominator} sec"
    return {
        "ISO Speed Ratings": f"{shot.iso:.0f}",
        "Aperture Value": f"F{shot.f_number:.1f}",
        "Exposure Time": exposure,
        "Focal Length": f"{shot.focal_length_mm:.1f} mm",
        "Make": "Simulated",
        "Model": "Thin-lens",
    }


def _broken(exif: dict[str, str], bad: str | None) -> dict[str, str]:
    """The strings as a bad record has them."""
    if bad == "iso_missing":
        del exif["ISO Speed Ratings"]
    elif bad == "f_number_empty":
        exif["Aperture Value"] = "F"
    elif bad == "exposure_unknown":
        exif["Exposure Time"] = "Unknown"
    return exif


def portrait(seed: int, number: int) -> tuple[str, np.ndarray]:
    """Photograph `number` of the target domain: file name `<person>_<picture>.png` and the face
    crop (CROP, CROP, 3).
    """
    person, picture = divmod(number, PICTURES_PER_PERSON)
    rng = randomness.generator(seed, "portrait", number)
    who = scene.draw_person(randomness.generator(seed, "portrait person", person))
    subject = replace(generators.portrait_subject(rng), person=who)
    taken = camera.photograph(rng, generators.render(rng, subject), subject.shot)
    return f"{person:05d}_{picture}.png", _face_crop(rng, taken, subject)


def in_test_list(seed: int, name: str) -> bool:
    """Whether a portrait is listed in test.txt, decided for all pictures of a person together."""
    return randomness.share(name.split("_", maxsplit=1)[0], seed, "portrait lists") < TEST_SHARE


def generated(seed: int, generator: str, number: int) -> tuple[str, np.ndarray]:
    """Face `number` of a simulated generator: file name and the face crop (CROP, CROP, 3)."""
    rng = randomness.generator(seed, generator, number)
    subject = generators.portrait_subject(rng)
    levels = np.round(generators.GENERATORS[generator](rng, subject, seed) * 255)
    picture = np.clip(levels, 0, 255).astype(np.uint8)
    return f"{number:05d}.png", _face_crop(rng, picture, subject)


def face_box(rng: np.random.Generator, subject: Subject) -> tuple[float, float, float, float]:
    """A detector's box in pixels (x0, y0, x1, y1), off by a pixel or so.

    All faces are taken at one size and the enlarged box (x 1.3) lies on whole pixels, so that
    cropping to CROP pixels needs no resampling: interpolation would wash out the sensor's traces.
    """
    left, top = (
        round(float(np.clip(v + rng.normal(0, 0.8) - CROP / 2, 0, scene.SIDE - CROP)))
        for v in subject.seen((0.0, 0.02))
    )
    margin = (CROP - CROP / 1.3) / 2
    return left + margin, top + margin, left + CROP - margin, top + CROP - margin


def _face_crop(rng: np.random.Generator, picture: np.ndarray, subject: Subject) -> np.ndarray:
    """The square of CROP pixels around the face box, after JPEG compression."""
    x0, y0, x1, y1 = face_box(rng, subject)
    left, top = round((x0 + x1 - CROP) / 2), round((y0 + y1 - CROP) / 2)
    return camera.jpeg(picture, subject.shot.jpeg_quality)[top : top + CROP, left : left + CROP]


def _fdf_metainfo(rng: np.random.Generator, subject: Subject) -> dict[str, Any]:
    """Box and landmarks as shares of the side, as FDF has them, and the true mouth beside them."""
    box = face_box(rng, subject)
    seen = [
        [value + rng.normal(0, 0.4) for value in subject.seen(subject.marks[name])]
        for name in LANDMARKS
    ]
    return {
        "bounding_box": [round(value / scene.SIDE, 8) for value in box],
        "landmark": [
            [round(float(np.clip(value / scene.SIDE, 0, 1)), 5) for value in point]
            for point in seen
        ],
        "true_mouth": [round(v / scene.SIDE, 5) for v in subject.seen(subject.marks["mouth"])],
        "license": "simulated",
    }
