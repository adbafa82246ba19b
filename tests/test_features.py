import hashlib
import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.common import pictures
from pipeline.common.process_group import ProcessGroup
from pipeline.encoder.network import Encoder, normalise
from pipeline.extraction import features


def settings(**changes) -> Any:
    values = dict(
        resize="bilinear", antialias=True, batch_size=3, device="cpu", precision="float32"
    )
    return SimpleNamespace(**{**values, **changes})


@pytest.fixture(scope="module")
def encoder():
    return Encoder("resnet10", 6, seed=1).eval()


@pytest.fixture
def root(tmp_path):
    """Seven pictures of several sizes and formats, and three that cannot be read."""
    rng = np.random.default_rng(0)
    (tmp_path / "faces").mkdir()
    for i, (suffix, shape) in enumerate(
        zip(
            ["png", "jpg", "webp", "png", "jpeg", "png", "png"],
            [(40, 30)] * 4 + [(32, 32)] * 3,
            strict=True,
        )
    ):
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(
            tmp_path / f"faces/{i}.{suffix}"
        )
    (tmp_path / "faces/7.png").write_bytes(b"no picture")
    (tmp_path / "faces/8.png").write_bytes((tmp_path / "faces/0.png").read_bytes()[:300])
    return tmp_path


@pytest.fixture
def names(root):
    return [*sorted(f"faces/{path.name}" for path in (root / "faces").iterdir()), "faces/9.png"]


def test_features_are_those_of_the_encoder_on_pils_resize(root, names, encoder):
    result = features.extract(encoder, 32, root, names, settings())
    assert (
        result.names == names[:7]
        and result.features.shape == (7, 6)
        and result.heads.shape == (7, 5)
    )
    for i, name in enumerate(result.names):
        with Image.open(root / name) as image:
            small = np.asarray(
                image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR), dtype=np.float32
            )
        with torch.no_grad():
            feature, heads = encoder(normalise(torch.from_numpy(small).permute(2, 0, 1)[None]))
        assert result.features[i] == pytest.approx(
            feature[0].numpy(), abs=0.02
        )  # PIL rounds to whole numbers, we do not
        assert result.heads[i] == pytest.approx(heads[0].numpy(), abs=0.02)
        assert result.sha256[i] == hashlib.sha256((root / name).read_bytes()).hexdigest()


def test_unreadable_pictures_are_counted_by_reason(root, names, encoder):
    unreadable = features.extract(encoder, 32, root, names, settings()).unreadable
    assert (
        sum(unreadable.values()) == 3
        and unreadable["missing"] == 1
        and unreadable["not_a_picture"] == 1
    )


def test_number_of_threads_does_not_matter(root, names, encoder, monkeypatch):
    results = []
    for workers in ("1", "4"):
        monkeypatch.setenv("PIPELINE_WORKERS", workers)
        results.append(features.extract(encoder, 32, root, names, settings()))
    assert results[0].names == results[1].names and results[0].sha256 == results[1].sha256
    assert results[0].features.tobytes() == results[1].features.tobytes()
    assert results[0].heads.tobytes() == results[1].heads.tobytes()


def test_each_batch_is_computed_by_one_thread(root, names, encoder, monkeypatch):
    threads, before, encode = set(), torch.get_num_threads(), features.encode

    def watched(*arguments):
        threads.add(torch.get_num_threads())
        return encode(*arguments)

    monkeypatch.setattr(features, "encode", watched)
    torch.set_num_threads(2)
    try:
        features.extract(encoder, 32, root, names, settings())
        assert threads == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_encoder_fresh_from_training_is_evaluated(root, names):
    features_of = [
        features.extract(Encoder("resnet10", 6, seed=1).train(mode), 32, root, names, settings())
        for mode in (True, False)
    ]
    assert features_of[0].features.tobytes() == features_of[1].features.tobytes()


def pretend(monkeypatch, team, *, broadcast, others=()):
    """As if this process were of `team`, whose first has the names `broadcast` and whose others
    have these rows.
    """
    fake = SimpleNamespace(rank=team.rank, count=team.count, first=team.first, seen=[])

    def assemble(rows):
        fake.seen.append(rows)
        return rows + sum(seen[len(fake.seen) - 1] for seen in others)

    fake.broadcast, fake.assemble = lambda content: broadcast, assemble
    monkeypatch.setattr(features.processes, "group", lambda device: nullcontext(fake))
    return fake


@pytest.mark.parametrize("count", [2, 3, 5])
def test_processes_share_the_batches_and_all_get_the_whole(
    root, names, encoder, monkeypatch, count
):
    alone = features.extract(encoder, 32, root, names, settings(batch_size=2))
    listed, rows = json.dumps(names).encode(), []
    for rank in range(1, count):
        team = pretend(monkeypatch, ProcessGroup(rank, count), broadcast=listed)
        features.extract(
            encoder, 32, root, ["what others list does not count"], settings(batch_size=2)
        )
        rows.append(team.seen)
    pretend(monkeypatch, ProcessGroup(0, count), broadcast=listed, others=rows)
    together = features.extract(encoder, 32, root, names, settings(batch_size=2))
    assert (
        together.features.tobytes() == alone.features.tobytes()
        and together.heads.tobytes() == alone.heads.tobytes()
    )
    assert (together.names, together.sha256, together.unreadable) == (
        alone.names,
        alone.sha256,
        alone.unreadable,
    )


@pytest.mark.parametrize("largest", [0, 1100, 10**6])
def test_the_way_of_a_gpu_gives_the_same(root, names, encoder, monkeypatch, largest):
    """On a CPU: pictures of equal shape resized together, results stored one part late, each in its
    own row.
    """
    plain = features.extract(encoder, 24, root, names, settings(batch_size=6))
    monkeypatch.setattr(features, "on_cpu", features.on_gpu)
    monkeypatch.setattr(features, "PIXELS_ON_DEVICE", largest)
    late = features.extract(encoder, 24, root, names, settings(batch_size=6))
    assert (late.names, late.sha256, late.unreadable) == (
        plain.names,
        plain.sha256,
        plain.unreadable,
    )
    assert late.features == pytest.approx(plain.features, abs=1e-5)
    assert late.heads == pytest.approx(plain.heads, abs=1e-5)


@pytest.mark.parametrize("way", [features.on_cpu, features.on_gpu])
def test_a_change_is_that_of_the_picture_as_if_it_lay_so_on_disk(
    root, names, encoder, monkeypatch, way
):
    def crop(picture, name):
        return picture[::-1, : 12 + int(name[6])].copy()  # differs from picture to picture

    monkeypatch.setattr(features, "on_cpu", way)
    changed = features.extract(encoder, 24, root, names, settings(), change=crop)
    for name in changed.names:
        Image.fromarray(crop(pictures.read_picture(root / name), name)).save(
            root / f"faces/{name[6]}_changed.png"
        )
    plain = features.extract(
        encoder, 24, root, [f"faces/{name[6]}_changed.png" for name in changed.names], settings()
    )
    unchanged = features.extract(encoder, 24, root, names, settings())
    assert changed.features == pytest.approx(plain.features, abs=1e-5)
    assert changed.heads == pytest.approx(plain.heads, abs=1e-5)
    assert not np.allclose(changed.features, unchanged.features, atol=1e-4)
    assert (changed.sha256, changed.unreadable) == (unchanged.sha256, unchanged.unreadable)


def test_a_change_sees_every_readable_picture_once(root, names, encoder):
    seen = []

    def watched(picture, name):
        seen.append(name)
        return picture

    features.extract(encoder, 24, root, names, settings(), change=watched)
    assert sorted(seen) == names[:7]


def test_every_reason_of_an_unreadable_picture_has_a_state():
    listed = (pictures.UnreadablePicture.__doc__ or "").split("one of ")[1].rstrip(".").split(", ")
    assert features.STATES[0] == "readable" and list(features.STATES[1:]) == listed


def test_resize_mode_and_antialias_matter(root, names, encoder):
    found = [
        features.extract(
            encoder, 16, root, names[:2], settings(resize=mode, antialias=antialias)
        ).features
        for mode, antialias in (
            ("bilinear", True),
            ("bilinear", False),
            ("bicubic", True),
            ("nearest", True),
        )
    ]
    assert all(not np.allclose(a, b, atol=1e-4) for i, a in enumerate(found) for b in found[:i])


def test_bfloat16_is_close_and_saved_as_float32(root, names, encoder):
    low = features.extract(encoder, 32, root, names, settings(precision="bfloat16")).features
    high = features.extract(encoder, 32, root, names, settings()).features
    assert low.dtype == np.float32 and not np.array_equal(low, high)
    assert low == pytest.approx(high, abs=0.1)


def test_nothing_readable_gives_empty_arrays(root, encoder):
    result = features.extract(encoder, 32, root, ["faces/7.png"], settings())
    assert result.features.shape == (0, 6) and result.heads.shape == (0, 5) and result.names == []


def test_absent_cuda_names_the_parameter(root, names, encoder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PipelineError, match=r"features\.device: cuda"):
        features.extract(encoder, 32, root, names, settings(device="cuda"))


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 50), st.randoms())
def test_choice_ignores_order_and_repetitions(numbers, maximum, random):
    names = [f"{number:02}.png" for number in numbers]
    chosen = features.choose(names, maximum, seed=1)
    assert chosen == sorted(chosen) and len(chosen) == min(maximum, len(set(names)))
    shuffled = names + names[:3]
    random.shuffle(shuffled)
    assert features.choose(shuffled, maximum, seed=1) == chosen
    assert set(features.choose(names, max(maximum - 1, 1), seed=1)) <= set(chosen)


def test_choice_depends_on_the_seed():
    names = [f"{i}.png" for i in range(100)]
    assert features.choose(names, 10, seed=1) != features.choose(names, 10, seed=2)
