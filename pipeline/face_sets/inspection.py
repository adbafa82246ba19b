"""A look at the pictures of face sets: readable or not, there twice, shared by two sets."""

import functools
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, pictures
from pipeline.common.names import PHOTOGRAPHIC
from pipeline.common.tally import Tally
from pipeline.face_sets.face_list import ListedFace
from pipeline.face_sets.selection import person_of

FIRST_PAIRS = 10  # of shared pictures that an error message names


class Inspected(NamedTuple):
    """What a picture's file turned out to be."""

    name: str  # relative to the data root
    sha256: str  # of the file's bytes; "" where it is unreadable
    reason: str  # why it is unreadable, or ""
    cause: str = ""  # what the reader said of it
    look: str = ""  # SHA-256 of its size and pixels: the same with other metadata, or stored anew
    transparent: bool = False  # some of it shows the background


def inspect(names: Sequence[str], root: Path) -> list[Inspected]:
    """Read and decode each of the pictures below `root`; runs in a worker process."""
    inspected, entries = [], functools.cache(_entries)
    for name in names:
        try:
            content = pictures.read_picture_file(root / name)
            pixels, transparent = pictures.decode(content, name)
        except pictures.UnreadablePicture as error:
            cause = error.cause
            if error.reason == "missing" and not cause:
                cause = _alike(name, entries((root / name).parent))
            inspected.append(Inspected(name, "", error.reason, cause))
        else:
            look = hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
            digest = hashlib.sha256(content).hexdigest()
            inspected.append(Inspected(name, digest, "", "", look, transparent))
    return inspected


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _alike(name: str, entries: Sequence[str]) -> str:
    """What to say of a missing picture whose name is there in another Unicode form or case."""
    own = PurePosixPath(name).name
    plain = unicodedata.normalize("NFC", own).casefold()
    others = [x for x in entries if unicodedata.normalize("NFC", x).casefold() == plain]
    return f"there is {others[0]!a}, the list has {own!a}" if others else ""


def usable(
    inspected: Iterable[Inspected], person_pattern: str | None, seen: set[str] | None = None
) -> tuple[list[ListedFace], Tally]:
    """The readable pictures of a set, of those that look the same the first; the others by reason.

    Without a pattern each picture shows a person of its own, as generated faces do. seen: looks of
    sets of the same list, whose pictures are doubled here; those of this set are added."""
    faces, left_out, seen = [], Tally(), set[str]() if seen is None else seen
    for picture in inspected:
        look = picture.look or picture.sha256
        if picture.reason or look in seen:
            left_out.add(picture.reason or "doubled", picture.name, picture.cause)
            continue
        seen.add(look)
        name = picture.name
        person = name if person_pattern is None else person_of(name, person_pattern)
        faces.append(ListedFace(name, person, picture.sha256))
    return faces, left_out


def check_readable(source: str, inspected: Sequence[Inspected], allowed: float) -> None:
    """Raise PipelineError where more than the allowed share of a set is unreadable."""
    unreadable = Tally()
    for picture in inspected:
        if picture.reason:
            unreadable.add(picture.reason, picture.name, picture.cause)
    if unreadable.total > allowed * len(inspected):
        raise PipelineError(
            f"{source}: {unreadable.total:,} of {len(inspected):,} pictures are unreadable "
            f"({unreadable}), allowed is a share of {allowed:g} (data.maximum_unreadable_share); "
            "replace them, take them out, or allow more"
        )


def warn_of_transparency(name: str, inspected: Sequence[Inspected]) -> list[str]:
    """A warning of pictures of the set `name` of which some is transparent."""
    if not (shown := [picture.name for picture in inspected if picture.transparent]):
        return []
    return [
        f"{name}: {len(shown):,} of {len(inspected):,} pictures are transparent in places (first: "
        f"{shown[0]}). White is put behind them, as a page shows them: what is then judged is a "
        "cut-out, not a photograph as it was taken"
    ]


def check_shared(
    sets: Mapping[str, Sequence[ListedFace]], looks: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Raise PipelineError where a photographic set shares a picture with another set: by SHA-256 of
    its file, or by its look, which `looks` has by that SHA-256.

    The photographic sets come first in `sets`. Returns a warning of pictures that generators share.
    """
    owners: dict[str, tuple[str, str]] = {}
    refused, tolerated = list[str](), list[str]()
    for name, faces in sets.items():
        for face in faces:
            owner, twin = owners.setdefault(looks.get(face.sha256, face.sha256), (name, face.name))
            if owner != name:
                pair = f"{twin} ({owner}) and {face.name} ({name})"
                (refused if owner in PHOTOGRAPHIC else tolerated).append(pair)
    _refuse(refused)
    warning = f"pictures of two generators are the same: {len(tolerated):,} (first: "
    return [f"{warning}{tolerated[0]})"] if tolerated else []


def check_classes(
    photographs: Mapping[str, Sequence[str]], generated: Mapping[str, Sequence[str]], root: Path
) -> None:
    """Raise PipelineError where a file is both a photograph and generated, chosen or not: names by
    list and by folder. Files of equal size are compared, by SHA-256.
    """
    sizes: dict[int, list[tuple[str, str]]] = {}
    for place, names in photographs.items():
        for name in names:
            sizes.setdefault(_size(root / name), []).append((place, name))
    by_digest: dict[int, dict[str, tuple[str, str]]] = {}
    pairs = list[str]()
    for place, names in generated.items():
        for name in names:
            size = _size(root / name)
            if size <= 0 or size not in sizes:
                continue
            if size not in by_digest:
                known = {artifacts.sha256(root / other): (at, other) for at, other in sizes[size]}
                by_digest[size] = known
            if twin := by_digest[size].get(artifacts.sha256(root / name)):
                pairs.append(f"{twin[1]} ({twin[0]}) and {name} ({place})")
    _refuse(pairs)


def _size(path: Path) -> int:
    """In bytes; -1 where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _refuse(pairs: Sequence[str]) -> None:
    if pairs:
        more = f", and {len(pairs) - FIRST_PAIRS:,} more" if len(pairs) > FIRST_PAIRS else ""
        raise PipelineError(
            "the same picture is in two sets, and neither false alarm rates nor detection rates "
            "would hold; take one of each pair out of its list or folder: "
            f"{', '.join(pairs[:FIRST_PAIRS])}{more}"
        )


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
