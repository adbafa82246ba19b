"""What a photograph's file says of its origin beside the four tags: who took it, and signs that its
pixels are no longer those of the camera, or never were."""

import re
import unicodedata
from collections.abc import Collection
from typing import Any

from pipeline.common.metadata import take_apart
from pipeline.exif.embedded import values_of
from pipeline.exif.tags import Rejection

ARTIST, MODEL, SERIAL = 0x013B, 0x0110, 0xA431
SOFTWARE, WIDTH, HEIGHT = 0x0131, 0xA002, 0xA003
EDITORS = re.compile(
    r"photoshop|lightroom|gimp|snapseed|picasa|picsart|meitu|beautyplus|facetune|faceapp|vsco|canva"
    r"|affinity|pixelmator|paint|acdsee|photoscape|photofiltre|luminar|photoimpact|corel|polarr"
    r"|fotor|pixlr|imagemagick|irfanview|xnview|capture one|darktable|rawtherapee|aperture"
    r"|dxo (?:optics|photo)|iphoto|photo ?studio|photo editor|topaz|remini|adobe bridge|libformat",
    re.IGNORECASE,
)
LEAST_SIDE = 0.9  # of the longer side that the camera wrote; below, a picture was shrunk or cropped
# IPTC's words for what a model made, or took part in (composite...). XMP and the manifests of C2PA
# have them as they are, whatever the format of the file; where a JPEG or PNG has those in pieces or
# compressed, `take_apart` puts that right.
GENERATED = re.compile(rb"(composite(?:With)?)?[tT]rainedAlgorithmicMedia")
IN_EACH = b"rainedAlgorithmicMedia"  # of these words, which is found a hundred times as fast


def check_origin(data: bytes, size: tuple[int, int], reject: Collection[str]) -> None:
    """Raise Rejection with one of the reasons in `reject` that holds for a file, shown by a picture
    of `size` pixels: generated, edited, shrunken (exif.reject in params.yaml).
    """
    if "generated" in reject:
        parts = take_apart(data)
        for said in (parts.c2pa, parts.xmp, data):  # first what is whole
            if IN_EACH in said and (mark := GENERATED.search(said)):
                raise Rejection("generated", mark[0].decode())
    found = values_of(data, (SOFTWARE, WIDTH, HEIGHT))
    if "edited" in reject and EDITORS.search(software := _words(found[SOFTWARE])):
        raise Rejection("edited", f"Software = {software!r:.60}")
    sides = [side for side in (found[WIDTH], found[HEIGHT]) if isinstance(side, int)]
    if "shrunken" in reject and sides and max(size) < LEAST_SIDE * max(sides):
        raise Rejection("shrunken", f"{max(size)} of {max(sides)} px")


def photographer_of(name: str, data: bytes, pattern: str) -> str:
    """Who took a photograph, or "": the group of `pattern` in its path `name`; where there is no
    pattern, EXIF's Artist, else the camera by model and serial number. In Unicode's form NFC.

    Raises Rejection photographer_missing where the pattern finds nobody: such a photograph might be
    on the other side of a split than all others of that person."""
    if pattern:
        match = re.search(pattern, name)
        if match is None or not match[1]:
            raise Rejection("photographer_missing", f"exif.photographer_pattern {pattern!r}")
        return unicodedata.normalize("NFC", match[1])
    found = {tag: _words(value) for tag, value in values_of(data, (ARTIST, MODEL, SERIAL)).items()}
    return found[ARTIST] or (f"{found[MODEL]} {found[SERIAL]}" if found[SERIAL] else "")


def _words(value: Any) -> str:
    """A text of EXIF up to its first NUL, with single blanks; "" for what is none."""
    text = value.partition("\0")[0] if isinstance(value, str) else ""
    text = " ".join(text.split()).encode("utf-8", "replace").decode()
    return unicodedata.normalize("NFC", text)
