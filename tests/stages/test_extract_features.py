"""The whole stage on small folders and lists."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.encoder.checkpoints import save_encoder
from pipeline.encoder.network import Encoder
from pipeline.stages import extract_features

PARAMS = """
seed: 3
data: {root: root, person_pattern: '^([^_]+)_'}
split: {validation: 0.2, calibration: 0.5}
features: {resize: bilinear, antialias: true, batch_size: 4, device: cpu, precision: float32, maximum_unreadable_share: 0.2,
  maximum_fit_faces: 12, maximum_faces: 12}
"""


def run(*source):
    written = ["--output", "out/a_set.npz", "--metrics", "metrics/a_set.json"]
    extract_features.main(
        [
            "--root",
            "root",
            "--set-name",
            "a_set",
            "--encoder",
            "encoder.safetensors",
            *written,
            *source,
        ]
    )
    return artifacts.read_npz("out/a_set.npz"), artifacts.read_json("metrics/a_set.json")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A generator's folder of nine pictures, one of them broken, and twenty photographs of ten
    persons in a list.
    """
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names = [f"data/gen/{i}.png" for i in range(8)]
    listed = [f"data/celeba-face/{person:03}_{k}.jpg" for person in range(10) for k in range(2)]
    for name in names + listed:
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)).save(path)
    (tmp_path / "root/data/gen/broken.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "root/data/train.txt").write_text("".join(f"./{name}\n" for name in listed))
    (tmp_path / "params.yaml").write_text(PARAMS)
    save_encoder(
        tmp_path / "encoder.safetensors", Encoder("resnet10", 6, seed=1), {"input_size": 32}
    )
    return tmp_path / "root"


def test_folder(root, capsys):
    arrays, metrics = run("--folder", "data/gen")
    assert arrays["names"].tolist() == [f"data/gen/{i}.png" for i in range(8)]
    assert arrays["features"].shape == (8, 6) and arrays["features"].dtype == np.float32
    assert arrays["heads"].shape == (8, 5) and np.isfinite(arrays["heads"]).all()
    digests = [hashlib.sha256((root / name).read_bytes()).hexdigest() for name in arrays["names"]]
    assert arrays["source_sha256"].tolist() == digests
    assert (metrics["set"], metrics["source"]) == ("a_set", "data/gen")
    assert (metrics["listed"], metrics["chosen"], metrics["readable"]) == (9, 9, 8)
    assert sum(metrics["unreadable"].values()) == 1
    assert "left out: 1 x" in capsys.readouterr().out


def test_same_bytes_twice_and_with_other_workers(root, monkeypatch):
    contents = set()
    for workers in ("1", "3"):
        monkeypatch.setenv("PIPELINE_WORKERS", workers)
        run("--folder", "data/gen")
        contents.add((root.parent / "out/a_set.npz").read_bytes())
    assert len(contents) == 1


def test_list_splits_by_person(root):
    parts = {
        split: run("--list", "data/train.txt", "--split", split)[0]["names"]
        for split in ("fit", "calibration")
    }
    assert sum(map(len, parts.values())) == 20
    persons = [{name.rsplit("/", 1)[1][:3] for name in names} for names in parts.values()]
    assert len(persons[0]) and len(persons[1]) and not persons[0] & persons[1]


def test_test_split_is_the_whole_list_up_to_the_maximum(root):
    arrays, metrics = run("--list", "data/train.txt", "--split", "test")
    assert (
        metrics["listed"] == 20
        and metrics["chosen"] == metrics["readable"] == len(arrays["names"]) == 12
    )
    assert arrays["names"].tolist() == sorted(arrays["names"])


def test_missing_entries_count_as_unreadable(root):
    path = root / "data/train.txt"
    path.write_text("data/celeba-face/000_0.jpg\n" * 2 + "data/celeba-face/nobody_0.jpg\n")
    with pytest.raises(
        PipelineError,
        match=r"train\.txt: 1 of 2 pictures are unreadable .1 x missing.*share of 0\.2",
    ):
        run("--list", "data/train.txt", "--split", "test")
    assert not (root.parent / "out").exists()


def test_nothing_readable_is_an_error_whatever_the_share(root):
    (root.parent / "params.yaml").write_text(
        PARAMS.replace("maximum_unreadable_share: 0.2", "maximum_unreadable_share: 0.99")
    )
    folder = root / "data/bad"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.jpg").write_bytes(b"nothing")
    with pytest.raises(PipelineError, match="3 of 3 pictures are unreadable"):
        run("--folder", "data/bad")


def test_one_person_leaves_a_split_empty(root):
    (root / "data/train.txt").write_text("data/celeba-face/000_0.jpg\n")
    messages = []
    for split in ("fit", "calibration"):
        try:
            run("--list", "data/train.txt", "--split", split)
        except PipelineError as error:
            messages.append(str(error))
    assert len(messages) == 1 and "none of its 1 pictures falls into" in messages[0]


def test_list_that_leads_out_is_refused(root):
    (root / "data/train.txt").write_text("../../etc/passwd.png\n")
    with pytest.raises(PipelineError, match="leads out of the data root"):
        run("--list", "data/train.txt", "--split", "test")


def test_names_without_a_person_are_said(root):
    (root / "data/train.txt").write_text("data/celeba-face/nobody.jpg\n")
    with pytest.raises(PipelineError, match=r"data\.person_pattern"):
        run("--list", "data/train.txt", "--split", "fit")


def test_absent_folder_and_encoder_are_said(root):
    with pytest.raises(PipelineError, match="no such folder"):
        run("--folder", "data/absent")
    (root.parent / "encoder.safetensors").unlink()
    with pytest.raises(PipelineError, match=r"encoder\.safetensors"):
        run("--folder", "data/gen")


@pytest.mark.parametrize(
    "source", [[], ["--list", "data/train.txt"], ["--folder", "data/gen", "--split", "fit"]]
)
def test_command_line_without_a_clear_source_is_refused(root, source):
    with pytest.raises(SystemExit):
        run(*source)
