"""Augmented faces against the encoder's own crop of the plain ones, and their draws by key."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.schema import Augmentation
from pipeline.common import randomness
from pipeline.encoder.preprocessing import crop_resize
from pipeline.perturbation.pictures import perturb
from pipeline.pretext import training
from pipeline.pretext.augmentation import (
    HISTORIES,
    augment,
    change_of_epoch,
    cropped_size,
    draw,
)
from pipeline.pretext.batches import batch_slices, batches, epoch_plan
from pipeline.pretext.faces import PHOTOGRAPH
from tests.pretext_world import bright_faces, pretext
from tests.small_encoder import small_encoder

WIDTH, HEIGHT = 40, 32


def settings(**changes):
    values: dict[str, Any] = {"flip": False, "crop": 1, "histories": 0, **changes}
    return Augmentation(**values)


ALL = settings(flip=True, crop=0.75, histories=0.5)
SIZE = 24  # of the inputs; 18 are seen


def faces(m=60, seed=0) -> Any:
    """Pixels, boxes and hashes of m faces: smooth pictures with noise, boxes of any fraction."""
    random = np.random.default_rng(seed)
    wave = np.sin(np.linspace(0, 6, WIDTH) + np.linspace(0, 4, HEIGHT)[:, None])[..., None]
    noise = random.normal(0, 20, (m, HEIGHT, WIDTH, 3))
    pixels = (128 + 60 * wave + noise).clip(0, 255).astype(np.uint8)
    low = random.uniform(0, 12, (m, 2))
    high = np.array([WIDTH, HEIGHT]) - random.uniform(0, 12, (m, 2))
    hashes = randomness.hashes(f"face {seed} {i}" for i in range(m))
    return pixels, np.hstack([low, high]).astype(np.float32), hashes


def augmented(given=None, how=ALL, seed=1, epoch=1, each: Any = map):
    pixels, boxes, hashes = given or faces()
    share = cropped_size(SIZE, how) / SIZE
    return augment(pixels, boxes, hashes, how, share=share, seed=seed, epoch=epoch, each=each)


def crop(pixels, boxes, size=SIZE):
    return crop_resize(torch.from_numpy(pixels), torch.from_numpy(boxes), size)


def test_nothing_is_asked_for_nothing_changes():
    pixels, boxes, _ = faces()
    found = augmented(how=settings())
    assert np.array_equal(found[0], pixels) and np.array_equal(found[1], boxes)
    assert change_of_epoch(settings(), SIZE, seed=1, epoch=1) is None


def test_half_of_the_crops_are_the_mirrored_ones():
    pixels, boxes, hashes = faces()
    flipped = draw(hashes, settings(flip=True), seed=1, epoch=1).flipped
    assert 15 < flipped.sum() < 45  # of 60, within four standard deviations
    plain, found = crop(pixels, boxes), crop(*augmented(how=settings(flip=True)))
    torch.testing.assert_close(found[flipped], plain[flipped].flip(-1), rtol=0, atol=1e-3)
    assert torch.equal(found[~flipped], plain[~flipped])


def test_what_training_sees_is_a_window_of_the_whole_crop():
    """A naive loop, on boxes of the input's size: each window of 18 of 24 pixels is to the byte a
    part of the whole crop, and over many faces every place comes up.
    """
    pixels, _, hashes = faces(400)
    boxes = np.tile(np.array([5, 3, 29, 27], np.float32), (400, 1))
    whole = crop(pixels, boxes)
    seen, parts = augmented((pixels, boxes, hashes), settings(crop=0.75))
    found = crop(seen, parts, 18)
    places = set()
    for one, window in zip(whole, found, strict=True):
        matching = [
            (x, y)
            for x in range(7)
            for y in range(7)
            if torch.equal(one[:, y : y + 18, x : x + 18], window)
        ]
        assert len(matching) == 1
        places.update(matching)
    assert len(places) == 49


@given(st.floats(0.5, 1), st.booleans(), st.integers(0, 99))
def test_boxes_stay_within_those_of_the_mirrored_picture(share, flip, seed):
    pixels, boxes, hashes = faces(20, seed)
    boxes[0] = [0, 0, WIDTH, HEIGHT]
    how = settings(flip=flip, crop=share)
    _, found = augmented((pixels, boxes, hashes), how, seed)
    mirrored = draw(hashes, how, seed=seed, epoch=1).flipped
    x0, y0, x1, y1 = boxes.T
    turned = np.stack([WIDTH - x1, y0, WIDTH - x0, y1], axis=1)
    within = np.where(mirrored[:, None], turned, boxes)
    assert (found[:, :2] >= within[:, :2] - 1e-4).all() and (found[:, 2:] <= within[:, 2:]).all()
    expected = cropped_size(SIZE, how) / SIZE * (within[:, 2:] - within[:, :2])
    np.testing.assert_allclose(found[:, 2:] - found[:, :2], expected, atol=1e-4)


def test_a_history_is_one_perturbation_of_the_mirrored_picture():
    pixels, boxes, hashes = faces(200)
    draws = draw(hashes, ALL, seed=1, epoch=1)
    found, _ = augmented((pixels, boxes, hashes))
    kinds = set()
    for i, history in enumerate(draws.histories):
        expected = pixels[i, :, ::-1] if draws.flipped[i] else pixels[i]
        if history and history[0] in ("jpeg", "webp"):  # the others have strengths without a name
            kinds.add(history[0])
            change = perturb(f"{history[0]}_{history[1]:g}", 1)
            expected = change(np.ascontiguousarray(expected), "")
        if not history or history[0] in kinds:
            assert np.array_equal(found[i], expected), history
    assert kinds == {"jpeg", "webp"}


@pytest.mark.parametrize("kind", ["resize", "blur"])
def test_histories_that_smooth_lower_the_differences_of_neighbours(kind):
    pixels, boxes, hashes = faces(200)
    how = settings(histories=1)
    found, _ = augmented((pixels, boxes, hashes), how)

    def roughness(pictures):
        return np.abs(np.diff(pictures.astype(float), axis=2)).mean(axis=(1, 2, 3))

    histories = draw(hashes, how, seed=1, epoch=1).histories
    strong = {"resize": lambda s: s < 0.8, "blur": lambda s: s > 0.5}[kind]
    rows = [i for i, h in enumerate(histories) if h and h[0] == kind and strong(h[1])]
    assert len(rows) > 5 and (roughness(found[rows]) < 0.95 * roughness(pixels[rows])).all()


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_histories_are_drawn_evenly_on_a_share_of_the_faces(share):
    """4,000 faces; within four standard deviations of the binomial."""
    hashes = randomness.hashes(map(str, range(4000)))
    histories = draw(hashes, settings(histories=share), seed=1, epoch=1).histories
    given = [history for history in histories if history]
    assert abs(len(given) - 4000 * share) <= 4 * (4000 * share * (1 - share)) ** 0.5
    for kind, (low, high) in HISTORIES.items():
        strengths = np.array([strength for k, strength in given if k == kind])
        expected = len(given) / 4
        assert abs(len(strengths) - expected) < 4 * (expected * 0.75) ** 0.5
        assert low <= strengths.min() < low + 0.1 * (high - low)
        assert high >= strengths.max() > high - 0.1 * (high - low)
        if kind in ("jpeg", "webp"):
            assert set(strengths) == set(range(70, 99))


def test_a_face_is_drawn_by_its_key_alone():
    pixels, boxes, hashes = faces()
    whole: Any = augmented()
    some = np.random.default_rng(1).permutation(60)[:17]
    part = augmented((pixels[some], boxes[some], hashes[some]))
    assert all(np.array_equal(a[some], b) for a, b in zip(whole, part, strict=True))
    for other in (augmented(seed=2), augmented(epoch=2)):
        assert not np.array_equal(whole[0], other[0]) and not np.array_equal(whole[1], other[1])


def test_threads_change_no_byte_and_the_given_arrays_stay():
    given = faces()
    before = [array.copy() for array in given]
    alone = augmented(given)
    for count in (1, 3):
        with ThreadPoolExecutor(count) as pool:
            together = augmented(given, each=pool.map)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(alone, together, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(given, before, strict=True))


@pytest.mark.parametrize("own", [slice(None), slice(1, 3), slice(2, 2)])
def test_batches_hold_the_augmented_faces_of_this_process(own):
    world = bright_faces(9)
    plan = epoch_plan(world, seed=1, epoch=1, photograph_probability=0.5)
    change = change_of_epoch(ALL, SIZE, seed=1, epoch=1)
    order, shown = plan
    for part, batch in zip(
        batch_slices(9, 4),
        batches(world, plan, batch_slices(9, 4), own=lambda n: own, change=change),
        strict=True,
    ):
        rows = order[part][own]
        plain = world.load(order[part], shown[part], own)
        given = (plain.pixels.numpy(), plain.boxes.numpy(), world.hashes[rows])
        pixels, boxes = augmented(given)
        assert np.array_equal(batch.pixels, pixels) and np.array_equal(batch.boxes, boxes)
        assert torch.equal(batch.tags, plain.tags)
        assert batch.manipulated.tolist() == (shown[part] != PHOTOGRAPH).tolist()


def test_training_faces_are_augmented_once_an_epoch_and_validation_never(monkeypatch):
    seen: list[tuple[int, int]] = []

    def noted(settings, size, *, seed, epoch):
        change = change_of_epoch(settings, size, seed=seed, epoch=epoch)
        assert change is not None

        def noting(pixels, boxes, hashes, each):
            seen.extend((epoch, int(face)) for face in hashes)
            return change(pixels, boxes, hashes, each=each)

        return noting

    monkeypatch.setattr(training, "change_of_epoch", noted)
    world, nobody = bright_faces(20), bright_faces(9, "v")
    changes = {"augmentation": ALL, "epochs": 2}
    training.train(small_encoder(8, seed=1), world, nobody, pretext(**changes), seed=1)
    hashes = [int(face) for face in world.hashes]
    assert sorted(seen) == sorted((epoch, face) for epoch in (1, 2) for face in hashes)
