"""A look at the pictures of face sets: readable or not, there twice, shared by two sets."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.base.errors import PipelineError
from pipeline.common import pictures
from pipeline.common.names import PHOTOGRAPHIC
from pipeline.face_sets.face_list import ListedFace
from pipeline.face_sets.listing import Tally
from pipeline.face_sets.selection import person_of

FIRST_PAIRS = 10  # of shared pictures that an error message names


class Inspected(NamedTuple):
    """What a picture's file turned out to be."""

    name: str  # relative to the data root
    sha256: str  # of the file's bytes; "" where it is unreadable
    reason: str  # why it is unreadable, or ""


def inspect(names: Sequence[str], root: Path) -> list[Inspected]:
    """Read and decode each of the pictures below `root`; runs in a worker process."""
    inspected = []
    for name in names:
        try:
            content = pictures.read_picture_file(root / name)
            pictures.decode_picture(content, name)
        except pictures.UnreadablePicture as error:
            inspected.append(Inspected(name, "", error.reason))
        else:
            inspected.append(Inspected(name, hashlib.sha256(content).hexdigest(), ""))
    return inspected


def usable(
    inspected: Iterable[Inspected], person_pattern: str | None
) -> tuple[list[ListedFace], Tally]:
    """The readable pictures of a set, of equal ones the first; the others by reason.

    Without a pattern each picture shows a person of its own, as generated faces do."""
    faces, left_out, seen = [], Tally(), set[str]()
    for picture in inspected:
        if picture.reason or picture.sha256 in seen:
            left_out.add(picture.reason or "doubled", picture.name)
            continue
        seen.add(picture.sha256)
        name = picture.name
        person = name if person_pattern is None else person_of(name, person_pattern)
        faces.append(ListedFace(name, person, picture.sha256))
    return faces, left_out


def check_readable(source: str, inspected: Sequence[Inspected], allowed: float) -> None:
    """Raise PipelineError where more than the allowed share of a set is unreadable."""
    unreadable = Tally()
    for picture in inspected:
        if picture.reason:
            unreadable.add(picture.reason, picture.name)
    if unreadable.total > allowed * len(inspected):
        raise PipelineError(
            f"{source}: {unreadable.total:,} of {len(inspected):,} pictures are unreadable "
            f"({unreadable}), allowed is a share of {allowed:g} (data.maximum_unreadable_share); "
            "replace them, take them out, or allow more"
        )


def check_shared(sets: Mapping[str, Sequence[ListedFace]]) -> list[str]:
    """Raise PipelineError where a photographic set shares a picture, by SHA-256, with another set.

    The photographic sets come first in `sets`. Returns a warning of pictures that generators share.
    """
    owners: dict[str, tuple[str, str]] = {}
    refused, tolerated = list[str](), list[str]()
    for name, faces in sets.items():
        for face in faces:
            owner, twin = owners.setdefault(face.sha256, (name, face.name))
            if owner != name:
                pair = f"{twin} ({owner}) and {face.name} ({name})"
                (refused if owner in PHOTOGRAPHIC else tolerated).append(pair)
    if refused:
        more = f", and {len(refused) - FIRST_PAIRS:,} more" if len(refused) > FIRST_PAIRS else ""
        raise PipelineError(
            "the same picture is in two sets, and neither false alarm rates nor detection rates "
            "would hold; take one of each pair out of its list or folder: "
            f"{', '.join(refused[:FIRST_PAIRS])}{more}"
        )
    warning = f"pictures of two generators are the same: {len(tolerated):,} (first: "
    return [f"{warning}{tolerated[0]})"] if tolerated else []


def check_persons(sets: Mapping[str, Sequence[ListedFace]]) -> list[str]:
    """A warning of persons who are both in the test set and in one of the other two."""
    fit, calibration, test = ({face.person for face in sets[name]} for name in PHOTOGRAPHIC)
    if not (met := sorted((fit | calibration) & test)):
        return []
    return [
        f"persons both among the photographs to fit or calibrate and to test: {len(met):,} (first: "
        f"{met[0]}). On faces of persons whom mixture or threshold know, fewer false alarms are "
        "counted than there will be: list each person once"
    ]
