"""The stage on small pictures: each history against the perturbation and the encoder alone."""

import numpy as np
import pytest

from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.encoder.checkpoints import load_encoder
from pipeline.extraction.features import View, extract
from pipeline.face_sets import feature_sets
from pipeline.perturbation.pictures import perturb
from pipeline.stages import extract_photographs
from tests import picture_world

OPTIONS = ["--root", "root", "--faces", "face_sets/photographic_test.csv"]
OPTIONS += ["--encoder", "encoder.safetensors", "--output"]


@pytest.fixture
def sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return picture_world.build(tmp_path)


def test_with_histories_the_same_faces_are_encoded_perturbed_too(sets, tmp_path):
    """The clean ones first and to the same bits; a set without `--histories` has none."""
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("[none]", "[none, jpeg_40, noise_20]"))
    extract_photographs.main([*OPTIONS, "with.npz", "--histories"])
    extract_photographs.main([*OPTIONS, "without.npz"])
    histories = ["none", "jpeg_40", "noise_20"]
    found = feature_sets.read_histories(tmp_path / "with.npz", "photographic_test", histories)
    plain = feature_sets.read(tmp_path / "without.npz", "photographic_test")
    view = View(*load_encoder(tmp_path / "encoder.safetensors"))
    settings = params.load("features").features
    for history, faces in found.items():
        change = None if history == "none" else perturb(history, 3)
        views = {"": View(view.encoder, view.preprocessing, change)}
        one = extract(views, tmp_path / "root", {"s": sets["photographic_test"]}, settings)[""]["s"]
        np.testing.assert_array_equal(faces.features, one.features)
        np.testing.assert_array_equal(faces.heads, one.heads)
        assert faces.names.tolist() == plain.names.tolist()
        assert (faces.features == plain.features).all() == (history == "none")
    with pytest.raises(PipelineError, match=r"without\.npz: no features of jpeg_40; run extract_p"):
        feature_sets.read_histories(tmp_path / "without.npz", "photographic_test", histories)
