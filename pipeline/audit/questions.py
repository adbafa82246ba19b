"""What each control is, what it should show, by which rule it is called suspicious, and what that
would mean.
"""

from typing import NamedTuple

from pipeline.audit.confounds import WARNED

RULES = {
    "half": "suspicious if the interval excludes 0.5",
    "below": "suspicious unless it is below the detector: the interval of detector minus control "
    "lies above 0",
    "not above": "suspicious if it is above the detector: the interval of detector minus control "
    "lies below 0",
    "metadata": f"suspicious if the AUC of any generator exceeds {WARNED:g}",
    "content": "never suspicious by itself: a class may rightly have more noise and detail",
}


class Question(NamedTuple):
    """What a control is, what it should show, and what it would mean if it showed more."""

    title: str
    rule: str  # of RULES
    expected: str
    if_high: str


COMPRESSIBILITY = (
    "How well a picture compresses follows from its noise and detail, which are content and may "
    "differ rightly. But where this is as high as the detector, a score as trivial as the length "
    "of the file does as well as the detector."
)
QUESTIONS = {
    "real_against_real": Question(
        "Photographs against photographs",
        "half",
        "near 0.5",
        "Two halves of the photographs, split by person, are told apart as if one were generated: "
        "an AUC of a generator that is no further from 0.5 says nothing.",
    ),
    "random_weights": Question(
        "Encoder with random weights",
        "below",
        "clearly below the detector",
        "A network that has learnt nothing tells the classes apart: they differ in something "
        "coarse, such as size, compression or colours, and the pretext task is not what works.",
    ),
    "exif_heads": Question(
        "EXIF heads alone",
        "not above",
        "not above the detector",
        "The scores of tags that the pretext task trains know more than the density "
        "finds: choose gmm.* anew (heads in gmm.input, other principal components or shrinkage).",
    ),
    "manipulation_head": Question(
        "Manipulation head alone",
        "not above",
        "not above the detector",
        "The faces are found as manipulated ones, by traces of blending and warping, and not "
        "because no camera took them: expect nothing of generators that leave no such traces.",
    ),
    "shuffled_exif": Question(
        "Training with shuffled EXIF tags",
        "below",
        "clearly below the detector",
        "EXIF tags that belong to other photographs teach as much as the true ones: the "
        "manipulation task, or training as such, is what works.",
    ),
    "metadata_as_found": Question(
        "File metadata alone, as found",
        "metadata",
        "near 0.5",
        "Format, JPEG quality, chroma subsampling, width and height or EXIF of the files give the "
        "class away, and a detector may go by them: trust the harmonised evaluation, not the one "
        "as found.",
    ),
    "metadata_harmonised": Question(
        "File metadata alone, harmonised",
        "metadata",
        "0.5 by construction",
        "Harmonisation leaves a trace in the files, though all went through the same resizing and "
        "compression: it does not do what it should, so trust neither evaluation.",
    ),
    "file_size_as_found": Question(
        "Bytes per pixel alone, as found", "content", "below the detector", COMPRESSIBILITY
    ),
    "file_size_harmonised": Question(
        "Bytes per pixel alone, harmonised", "content", "below the detector", COMPRESSIBILITY
    ),
}
