"""Features against PIL's resize and the encoder alone; threads, processes and views alike."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.base.schema import FeatureExtraction
from pipeline.common import pictures
from pipeline.extraction import features
from pipeline.extraction.features import View, extract
from tests.elsewhere import elsewhere
from tests.picture_world import PREPROCESSING, listed, picture
from tests.small_encoder import small_encoder

COLUMNS = ("features", "heads")
CUDA = torch.device("cuda")
SIZES = {"png": (40, 30), "jpg": (40, 30), "webp": (40, 30), "jpeg": (32, 32), "JPG": (20, 50)}


def settings(**changes):
    values = {"batch_size": 3, "device": "cpu", "precision": "float32"}
    return FeatureExtraction(**{**values, **changes})


@pytest.fixture
def view():
    return View(small_encoder(6, seed=1).eval(), PREPROCESSING)


@pytest.fixture
def sets(tmp_path):
    """Seven pictures of several sizes and formats in two sets."""
    names = [f"{i}_0.{suffix}" for i, suffix in enumerate([*SIZES, "png", "png"])]
    for i, name in enumerate(names):
        Image.fromarray(picture(i, *SIZES[name.partition(".")[2]])).save(tmp_path / name)
    return {"a": listed(tmp_path, names[:5]), "b": listed(tmp_path, names[5:])}


@pytest.fixture
def encoded(view, sets, tmp_path):
    """The features (7, 6) and heads (7, 5) of all faces, seen in one way."""

    def run(view=view, **changes):
        found = extract({"v": view}, tmp_path, sets, settings(**changes))["v"].values()
        return [np.concatenate([getattr(f, column) for f in found]) for column in COLUMNS]

    return run


def alike(first, second):
    return all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_features_are_those_of_the_encoder_on_pils_resize(view, sets, tmp_path):
    found = extract({"v": view}, tmp_path, sets, settings())["v"]
    assert list(found) == ["a", "b"]
    for name, faces in found.items():
        rows = [faces.names.tolist(), faces.persons.tolist(), faces.digests.tolist()]
        assert list(zip(*rows, strict=True)) == [tuple(face) for face in sets[name]]
        assert faces.features.dtype == faces.heads.dtype == np.float64
        for i, face in enumerate(faces.names):
            with Image.open(tmp_path / face) as image:
                small = image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
            pixels = torch.from_numpy(np.asarray(small, dtype=np.float32))
            with torch.no_grad():
                feature, heads = view.encoder(pixels.permute(2, 0, 1)[None])
            # PIL rounds to whole grey levels, the encoder's resize does not
            assert faces.features[i] == pytest.approx(feature[0].numpy(), abs=0.02)
            assert faces.heads[i] == pytest.approx(heads[0].numpy(), abs=0.02)


def test_the_encoders_preprocessing_is_used(view, encoded):
    plain = encoded()[0]
    for changes in ({"antialias": False}, {"input_size": 40}):
        other = encoded(replace(view, preprocessing=replace(PREPROCESSING, **changes)))[0]
        assert not np.allclose(plain, other, atol=1e-4), changes


@pytest.mark.parametrize("way", [features._on_cpu, features._on_gpu])
def test_several_views_are_each_as_if_alone_and_decode_a_picture_once(
    view, sets, tmp_path, monkeypatch, way
):
    views = {
        "plain": view,
        "turned": replace(view, change=lambda picture, name: picture[::-1].copy()),
        "other": View(small_encoder(8, seed=2), replace(PREPROCESSING, input_size=40)),
    }
    monkeypatch.setattr(features, "_on_cpu", way)
    alone = {k: extract({k: v}, tmp_path, sets, settings())[k] for k, v in views.items()}
    decoded, decode = [], pictures.decode_picture

    def counted(data, path):
        decoded.append(path)
        return decode(data, path)

    monkeypatch.setattr(pictures, "decode_picture", counted)
    together = extract(views, tmp_path, sets, settings())
    assert sorted(decoded) == [tmp_path / face.name for face in (*sets["a"], *sets["b"])]
    for name in views:
        for s in sets:
            pair = (together[name][s], alone[name][s])
            assert alike(*([one.features, one.heads] for one in pair)), (name, s)
    assert not np.allclose(together["plain"]["a"].features, together["turned"]["a"].features)


@pytest.mark.parametrize("way", [features._on_cpu, features._on_gpu])
def test_a_change_is_as_if_the_picture_lay_so_on_disk(view, sets, tmp_path, monkeypatch, way):
    def crop(picture, name):
        return picture[::-1, : 12 + int(name[0])].copy()  # differs from picture to picture

    monkeypatch.setattr(features, "_on_cpu", way)
    changed = extract({"v": replace(view, change=crop)}, tmp_path, sets, settings())["v"]
    saved = {}
    for name, faces in sets.items():
        for face in faces:
            cropped = crop(pictures.read_picture(tmp_path / face.name), face.name)
            Image.fromarray(cropped).save(tmp_path / f"{face.name}_changed.png")
        saved[name] = listed(tmp_path, [f"{face.name}_changed.png" for face in faces])
    for name, faces in extract({"v": view}, tmp_path, saved, settings())["v"].items():
        assert changed[name].features == pytest.approx(faces.features, abs=1e-5)


@pytest.mark.parametrize("largest", [0, 1100, 10**6])
def test_the_way_of_a_gpu_gives_the_same(encoded, monkeypatch, largest):
    """Played on a CPU: small pictures are sent as they are, results fetched one batch late."""
    plain, prepare = encoded(batch_size=4), features._input
    monkeypatch.setattr(
        features, "_input", lambda job, *rest: prepare(replace(job, device=CUDA), *rest)
    )
    monkeypatch.setattr(features, "PIXELS_ON_DEVICE", largest)
    monkeypatch.setattr(features, "_on_cpu", features._on_gpu)
    for late, expected in zip(encoded(batch_size=4), plain, strict=True):
        assert late == pytest.approx(expected, abs=1e-5)


def test_outputs_are_taken_when_they_have_arrived():
    arriving, job = torch.zeros(2, 3), SimpleNamespace(outputs={"v": np.zeros((4, 3), np.float32)})
    features._store(job, "v", range(1, 3), (arriving, lambda: arriving.fill_(7)))  # type: ignore
    assert job.outputs["v"][:, 0].tolist() == [0, 7, 7, 0]


# Faces in a batch, and pixels of the largest pictures that are resized on the device
@pytest.mark.parametrize("case", [(2, 0), (2, 1100), (3, 10**6), (16, 1100)])
def test_everything_goes_to_the_device_which_is_read_once_a_batch(
    view, sets, tmp_path, monkeypatch, case
):
    batch_size, largest = case
    other = replace(view, change=lambda picture, name: picture[::-1].copy())
    monkeypatch.setattr(features, "PIXELS_ON_DEVICE", largest)
    with elsewhere(monkeypatch, features) as device:
        found = extract({"a": view, "b": other}, tmp_path, sets, settings(batch_size=batch_size))
    sizes = [min(batch_size, 7 - start) for start in range(0, 7, batch_size)]
    assert device.reads == [(n, 11) for n in sizes for _ in "ab"]
    assert device.operations > 50 and found["a"]["b"].features.shape == (2, 6)


def test_neither_threads_nor_the_mode_of_the_encoder_change_a_bit(view, encoded, monkeypatch):
    results, threads, encode = [], set(), features.encode

    def watched(*arguments):
        threads.add(torch.get_num_threads())
        return encode(*arguments)

    monkeypatch.setattr(features, "encode", watched)
    before = torch.get_num_threads()
    for workers, mode, count in (("1", False, 1), ("4", True, 2)):
        monkeypatch.setenv("PIPELINE_WORKERS", workers)
        view.encoder.train(mode)
        torch.set_num_threads(count)
        try:
            results.append(encoded())
            assert torch.get_num_threads() == count, "left as it was"
        finally:
            torch.set_num_threads(before)
    assert alike(*results) and threads == {1}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_processes_share_the_batches_and_all_get_the_whole(encoded, monkeypatch, count):
    alone, seen = encoded(batch_size=2), []

    def assemble(rows):
        seen.append(rows)
        return rows

    for rank in range(count):
        group = SimpleNamespace(rank=rank, count=count, assemble=assemble)
        monkeypatch.setattr(features.process_group, "group", lambda _, g=group: nullcontext(g))
        encoded(batch_size=2)
    by_process = np.array(seen)  # (count, 7, 11)
    assert (by_process.any(axis=2).sum(axis=0) == 1).all(), "each face by one process"
    assert alike(np.split(by_process.sum(axis=0).astype(np.float64), [6], axis=1), alone)


def test_bfloat16_is_close(encoded):
    low, high = encoded(precision="bfloat16")[0], encoded()[0]
    assert not np.array_equal(low, high) and low == pytest.approx(high, abs=0.1)


@pytest.mark.parametrize(("native", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_the_precision_of_the_hardware(encoded, monkeypatch, native, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    assert alike(encoded(precision="auto"), encoded(precision=precision))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "2_0.webp: changed since"),
        (lambda path: path.write_bytes(b""), "2_0.webp: empty; changed since"),
        (lambda path: path.unlink(), "2_0.webp: missing; changed since"),
    ],
)
def test_a_file_that_list_faces_did_not_read_is_an_error(encoded, tmp_path, damage, message):
    damage(tmp_path / "2_0.webp")
    with pytest.raises(PipelineError, match=f"{message} list_faces .*dvc repro list_faces"):
        encoded()


def test_an_absent_gpu_names_the_parameter(encoded, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PipelineError, match=r"features\.device: cuda"):
        encoded(device="cuda")
