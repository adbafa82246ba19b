"""Encode some faces of each set in other forms, for the audit: perturbed, harmonised, and by
encoders that should know nothing; describe their files.

audit judges what is written here, so that another mixture or threshold encodes no picture again."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base import command_line, params, terminal
from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.names import PHOTOGRAPHIC
from pipeline.encoder.checkpoints import load_encoder, read_metadata
from pipeline.encoder.network import Encoder
from pipeline.extraction.features import Picture, View, extract
from pipeline.face_sets import face_list, feature_sets, selection
from pipeline.face_sets.face_list import ListedFace
from pipeline.face_sets.feature_sets import FeatureSet
from pipeline.perturbation.file_formats import FileFormat, describe
from pipeline.perturbation.pictures import harmonise, perturb

FIT, CALIBRATION, _ = PHOTOGRAPHIC
Sets = dict[str, list[ListedFace]]
Variants = dict[str, dict[str, FeatureSet]]  # by name of the variant, then of the set


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = command_line.paths(
        __doc__,
        root="data root of the faces' names",
        face_sets="folder of the face lists",
        encoder="the detector's encoder",
        shuffled="encoder trained with shuffled EXIF tags",
        output="folder to write",
    )
    options = parser.parse_args(argv)
    p = params.load(
        "seed", "features", "robustness", "harmonisation", "controls", "generators", "perturbations"
    )
    trained, shuffled = (View(*load_encoder(f)) for f in (options.encoder, options.shuffled))
    details = {
        "architecture": str(trained.encoder.architecture),
        "epochs": _epochs(options.encoder),
        "shuffled_epochs": _epochs(options.shuffled),
        "harmonisation": p.harmonisation.model_dump(),
        "generators": p.generators,
        "perturbations": p.perturbations,
    }
    names = (*PHOTOGRAPHIC, *p.generators)
    sets = {name: face_list.read(options.face_sets / f"{name}.csv") for name in names}
    encode = partial(extract, root=options.root, settings=p.features)
    variants, harmonised_files = _of_controls(encode, trained, shuffled, sets, p)
    variants |= _perturbed(encode, trained, sets, p)
    files = _files(options.root, sets, harmonised_files)
    with atomic(options.output) as folder:
        for name, faces in variants.items():
            artifacts.write_npz(folder / f"{name}.npz", **feature_sets.joined(faces))
        artifacts.write_table(folder / "files.parquet", files)
        artifacts.write_json(folder / "details.json", details)
    rows = [
        {"variant": name, "faces": sum(map(len, faces.values()))}
        for name, faces in variants.items()
    ]
    terminal.table(rows, "Features of other forms")


def _of_controls(
    encode: Callable[..., Variants], trained: View, shuffled: View, sets: Sets, p: Any
) -> tuple[Variants, dict[str, FileFormat]]:
    """`harmonised`, `random_weights` and `shuffled_exif`; the harmonised files by name of face."""
    how = p.harmonisation
    files: dict[str, FileFormat] = {}

    def change(picture: Picture, name: str) -> Picture:
        harmonised, content = harmonise(picture, how.side, how.kernel, how.jpeg_quality)
        files[name] = describe(content, name)
        return harmonised

    own = trained.encoder
    how_made = {"seed": p.seed, "normalisation": own.normalisation}
    untrained = Encoder(own.architecture, own.head_names, **how_made)
    harmonised = {"harmonised": replace(trained, change=change)}
    others = {"random_weights": replace(trained, encoder=untrained), "shuffled_exif": shuffled}
    most = dict.fromkeys(sets, p.controls.faces)
    most |= dict.fromkeys((FIT, CALIBRATION), p.controls.fit_faces)
    chosen = _at_most(sets, most, p.seed, "controls")
    calibration = {CALIBRATION: chosen.pop(CALIBRATION)}  # only harmonised: nothing else needs it
    variants = encode(harmonised | others, sets=chosen)
    variants["harmonised"] |= encode(harmonised, sets=calibration)["harmonised"]
    return variants, files


def _perturbed(encode: Callable[..., Variants], trained: View, sets: Sets, p: Any) -> Variants:
    """The faces to test with, by `perturbed/<perturbation>`."""
    views = {
        f"perturbed/{name}": replace(trained, change=perturb(name, p.seed))
        for name in p.perturbations
    }
    tested = {name: sets[name] for name in sets if name not in (FIT, CALIBRATION)}
    chosen = _at_most(tested, dict.fromkeys(tested, p.robustness.faces), p.seed, "robustness")
    return encode(views, sets=chosen) if views else {}


def _at_most(sets: Sets, most: Mapping[str, int], seed: int, purpose: str) -> Sets:
    """At most so many faces of each set, in order, chosen by a keyed hash of their names."""
    chosen = {}
    for name, faces in sets.items():
        names = [face.name for face in faces]
        rows = selection.rows(names, most[name], seed=seed, purpose=purpose)
        chosen[name] = [faces[row] for row in rows]
    return chosen


def _files(root: Path, sets: Sets, harmonised: Mapping[str, FileFormat]) -> pd.DataFrame:
    """What the files say: all as they were found, the chosen ones harmonised; a row of each."""
    rows = []
    for name, faces in sets.items():
        for face in terminal.progress(faces, what=f"files of {name}"):
            found = describe(face_list.read_face(root, face), face.name)
            rows.append({"set": name, "name": face.name, "state": "as_found", **found._asdict()})
            if face.name in harmonised:
                after = harmonised[face.name]._asdict()
                rows.append({"set": name, "name": face.name, "state": "harmonised", **after})
    return pd.DataFrame(rows)


def _epochs(encoder: Path) -> int:
    """For how many epochs an encoder was trained."""
    try:
        return int(read_metadata(encoder)["params"]["pretext"]["epochs"])
    except (KeyError, TypeError) as error:
        raise PipelineError(
            f"{encoder}: does not say for how many epochs it was trained; train it again"
        ) from error


if __name__ == "__main__":
    terminal.run(main)
