"""The stage on small pictures: each variant is what changed files would have given."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.pictures import read_picture
from pipeline.encoder.checkpoints import load_encoder, save_encoder
from pipeline.extraction.features import View, extract
from pipeline.face_sets import selection
from pipeline.perturbation.pictures import perturb
from pipeline.stages import extract_variants
from tests import picture_world
from tests.small_encoder import small_encoder

PERTURBATIONS = ("jpeg_40", "noise_20", "crop_0.8")
FIT, CALIBRATION, TEST = "photographic_fit", "photographic_calibration", "photographic_test"
OPTIONS = ["--root", "root", "--face-sets", "face_sets", "--encoder", "encoder.safetensors"]
OPTIONS += ["--shuffled", "shuffled.safetensors", "--output"]


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """The world with what the stage writes about it, to be left as it is; the faces of its sets."""
    folder = tmp_path_factory.mktemp("variants")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PIPELINE_WORKERS", "1")
        sets = picture_world.build(folder)
        extract_variants.main([*OPTIONS, "out"])
    return folder, sets


@pytest.fixture
def world(once, tmp_path, monkeypatch):
    """A copy as working directory; the faces of its sets."""
    shutil.copytree(once[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return once[1]


def read(name):
    return artifacts.read_npz(f"out/{name}.npz")


def chosen(sets, most, purpose):
    """Names of at most so many faces of each set."""
    names = {name: [face.name for face in sets[name]] for name in most}
    rows = {name: selection.rows(names[name], most[name], seed=3, purpose=purpose) for name in most}
    return [names[name][row] for name in most for row in rows[name]]


def harmonised(picture, name):
    """By PIL: resized, compressed, read again."""
    square = Image.fromarray(picture).resize((28, 28), Image.Resampling.BICUBIC)
    square.save("harmonised.jpg", quality=80)
    return read_picture("harmonised.jpg")


TESTED, WITHOUT = [TEST, "sim_a", "sim_b"], [FIT, TEST, "sim_a", "sim_b"]
VARIANTS = [
    *((f"perturbed/{name}", "encoder", perturb(name, 3), TESTED) for name in PERTURBATIONS),
    ("harmonised", "encoder", harmonised, [*WITHOUT, CALIBRATION]),
    ("random_weights", None, None, WITHOUT),
    ("shuffled_exif", "shuffled", None, WITHOUT),
]


@pytest.mark.parametrize(("variant", "encoder", "change", "sets"), VARIANTS)
def test_a_variant_is_what_changed_files_would_have_given(world, variant, encoder, change, sets):
    arrays, folder = read(variant), Path.cwd()
    if variant.startswith("perturbed"):
        expected = chosen(world, dict.fromkeys(sets, 5), "robustness")
    else:
        most = {name: 9 if name in (FIT, CALIBRATION) else 7 for name in sets}
        expected = chosen(world, most, "controls")
    assert arrays["names"].tolist() == expected
    assert arrays["sets"].tolist() == [name.split("/")[1] for name in expected]
    saved = [f"{i:03}.png" for i in range(len(expected))]
    for file, name in zip(saved, expected, strict=True):
        picture = read_picture(folder / "root" / name)
        Image.fromarray(change(picture, name) if change else picture).save(folder / file)
    own = load_encoder(folder / f"{encoder}.safetensors")[0] if encoder else None
    view = View(own or small_encoder(6, seed=3), picture_world.PREPROCESSING)
    settings, faces = params.load("features").features, picture_world.listed(folder, saved)
    features = extract({"": view}, folder, {"s": faces}, settings)[""]["s"].features
    assert arrays["features"] == pytest.approx(features, abs=1e-5)


def test_all_files_are_described_and_the_chosen_ones_once_more(world):
    files = artifacts.read_table("out/files.parquet")
    found = files[files["state"] == "as_found"]
    names = [face.name for faces in world.values() for face in faces]
    assert found["name"].tolist() == names and (found["width"] == 40).all()
    photographic = found["set"].str.startswith("photographic")
    assert (found["format"] == np.where(photographic, "JPEG", "PNG")).all()
    after = files[files["state"] == "harmonised"]
    assert sorted(after["name"]) == sorted(read("harmonised")["names"])
    columns = after[["format", "width", "height", "jpeg_quality", "chroma_subsampling"]]
    assert set(columns.itertuples(index=False, name=None)) == {("JPEG", 28, 28, 80, "4:2:0")}


def test_the_details_tell_what_the_audit_says_of_encoders(world):
    assert artifacts.read_json("out/details.json") == {
        "architecture": "native with 6 features",
        "epochs": 5,
        "shuffled_epochs": 1,
        "harmonisation": {"side": 28, "kernel": "bicubic", "jpeg_quality": 80},
        "generators": ["sim_a", "sim_b"],
        "perturbations": [*PERTURBATIONS],
    }


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("world")
def test_same_bytes_with_other_workers_and_nothing_of_before(tmp_path, monkeypatch, capsys):
    before = contents(tmp_path / "out")
    (tmp_path / "out/perturbed/blur_1.npz").write_bytes(b"of a perturbation that is no more")
    monkeypatch.setenv("PIPELINE_WORKERS", "3")
    extract_variants.main([*OPTIONS, "out"])
    assert contents(tmp_path / "out") == before
    assert "perturbed/jpeg_40" in capsys.readouterr().out


@pytest.mark.usefixtures("world")
def test_without_perturbations_there_are_none(tmp_path):
    text = picture_world.PARAMS.replace(f"[{', '.join(PERTURBATIONS)}]", "[]")
    (tmp_path / "params.yaml").write_text(text)
    extract_variants.main([*OPTIONS, "out"])
    assert not (tmp_path / "out/perturbed").exists() and (tmp_path / "out/harmonised.npz").exists()


@pytest.mark.usefixtures("world")
def test_an_encoder_that_does_not_say_its_epochs_is_an_error(tmp_path):
    encoder = small_encoder(6, seed=8)
    save_encoder(tmp_path / "shuffled.safetensors", encoder, picture_world.PREPROCESSING)
    with pytest.raises(PipelineError, match=r"shuffled\.safetensors: does not say for how many"):
        extract_variants.main([*OPTIONS, "new"])
