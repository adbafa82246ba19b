"""Values of params.yaml that are fine alone and not together: found by the first stage, not by the
one that would stop at them hours later."""

from collections.abc import Iterator
from typing import Any

from pipeline.base.schema import Gmm, Pretext


def faults(params: Any) -> list[str]:
    """What does not agree among the sections that are there, a sentence each."""
    gmm, pretext = getattr(params, "gmm", None), getattr(params, "pretext", None)
    found = list(_of_training(pretext)) if pretext else []
    found += _of_faces_with_exif(params)
    if pretext and (exif := getattr(params, "exif", None)):
        found += _of_tags(list(exif.tags), pretext)
    if gmm:
        faces = {
            "data.maximum_fit_faces": getattr(
                getattr(params, "data", None), "maximum_fit_faces", 0
            ),
            "controls.fit_faces": getattr(getattr(params, "controls", None), "fit_faces", 0),
        }
        found += _of_faces(gmm, {key: count for key, count in faces.items() if count})
        found += _of_widths(gmm, pretext) if pretext else []
    return found


def _of_training(pretext: Pretext) -> Iterator[str]:
    if pretext.minimum_learning_rate > pretext.learning_rate:
        yield (
            f"pretext.minimum_learning_rate = {pretext.minimum_learning_rate:g}: is above "
            f"pretext.learning_rate {pretext.learning_rate:g}, the largest of the schedule"
        )
    if pretext.start == "imagenet" and pretext.architecture == "native":
        yield (
            "pretext.start = imagenet: there are no such weights of pretext.architecture native; "
            "set it to tf_efficientnet_lite0, or pretext.start to none"
        )
    if pretext.start not in ("none", "imagenet") and not pretext.start.endswith(
        (".safetensors", ".pth")
    ):
        yield (
            f"pretext.start = {pretext.start!r}: allowed are none, imagenet, or a path that ends "
            "in .safetensors or .pth"
        )


def _of_faces_with_exif(params: Any) -> Iterator[str]:
    exif, manipulation = getattr(params, "exif", None), getattr(params, "manipulation", None)
    if exif and manipulation and (exif.source, manipulation.source) == ("photos", "ready-made"):
        yield (
            "manipulation.source = ready-made: there are such only of FDF's faces; set it to "
            "generate, or exif.source to fdf"
        )
    if exif and exif.source == "photos" and exif.licenses:
        yield "exif.licenses: of photographs of your own there are none; set it to []"


def _of_tags(tags: list[str], pretext: Pretext) -> Iterator[str]:
    """A tag has a weight, and a weight has a tag."""
    weights = set(pretext.loss_weights) - {"manipulation"}
    if without := [tag for tag in tags if tag not in weights]:
        yield (
            f"exif.tags has {', '.join(without)}, pretext.loss_weights has not: give a weight, 1 "
            "for one, or remove the tag"
        )
    if unread := sorted(weights.difference(tags)):
        yield (
            f"pretext.loss_weights has {', '.join(unread)}, exif.tags has not: remove the weight, "
            "or add the tag"
        )


def _of_faces(gmm: Gmm, faces: dict[str, int]) -> Iterator[str]:
    """Mixtures that no number of faces within these limits can carry."""
    least = max(2, gmm.components)
    what = f"gmm.components {gmm.components}"
    if gmm.shrinkage == "none" and gmm.covariance_type in ("full", "tied"):
        least, what = max(
            (least, what),
            (gmm.pca_components + 1, f"gmm.pca_components {gmm.pca_components}, not shrunk"),
        )
    for key, count in faces.items():
        if count < least:
            yield f"{key} = {count}: too few for {what}; set it to at least {least}, or lower that"


def _of_widths(gmm: Gmm, pretext: Pretext) -> Iterator[str]:
    """More principal components than the encoder has features, where params.yaml tells how many."""
    if pretext.levels == "last":
        width = pretext.feature_dim
    elif pretext.architecture == "native":
        width = sum(pretext.widths) * (2 if pretext.pooling == "statistics" else 1)
    else:
        return
    if gmm.input != "heads" and gmm.pca_components > width:
        yield (
            f"gmm.pca_components = {gmm.pca_components}: the encoder of pretext has {width} "
            "features; set it to at most that, or 0 for all"
        )
