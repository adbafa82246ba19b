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
from pipeline.pretext.augmentation import HISTORIES, augment, change_of_epoch, draw
from pipeline.pretext.batches import batch_slices, batches, epoch_plan
from pipeline.pretext.faces import PHOTOGRAPH
from tests.pretext_world import bright_faces, pretext
from tests.small_encoder import small_encoder

WIDTH, HEIGHT = 40, 32


def settings(**changes):
    values: dict[str, Any] = {"flip": False, "shift": 0, "histories": 0, **changes}
    return Augmentation(**values)


ALL = settings(flip=True, shift=3, histories=0.5)


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
    return augment(pixels, boxes, hashes, how, seed=seed, epoch=epoch, each=each)


def crop(pixels, boxes):
    return crop_resize(torch.from_numpy(pixels), torch.from_numpy(boxes), 24)


def test_nothing_is_asked_for_nothing_changes():
    pixels, boxes, _ = faces()
    found = augmented(how=settings())
    assert np.array_equal(found[0], pixels) and np.array_equal(found[1], boxes)
    assert change_of_epoch(settings(), seed=1, epoch=1) is None


def test_half_of_the_crops_are_the_mirrored_ones():
    pixels, boxes, hashes = faces()
    flipped = draw(hashes, settings(flip=True), seed=1, epoch=1).flipped
    assert 15 < flipped.sum() < 45  # of 60, within four standard deviations
    plain, found = crop(pixels, boxes), crop(*augmented(how=settings(flip=True)))
    torch.testing.assert_close(found[flipped], plain[flipped].flip(-1), rtol=0, atol=1e-3)
    assert torch.equal(found[~flipped], plain[~flipped])


def test_a_shifted_crop_is_that_of_the_shifted_picture():
    """A naive loop: the picture moves the other way, and what leaves it comes back beyond the box.
    Boxes have room for each shift.
    """
    pixels, _, hashes = faces()
    boxes = np.tile(np.array([6.25, 7.5, 30.5, 25.75], np.float32), (60, 1))
    how = settings(shift=4)
    shifts = draw(hashes, how, seed=1, epoch=1).shifts
    assert set(shifts[:, 0]) == set(shifts[:, 1]) == set(range(-4, 5))
    pair = augmented((pixels, boxes, hashes), how)
    rolled = [np.roll(p, (-y, -x), (0, 1)) for p, (x, y) in zip(pixels, shifts, strict=True)]
    torch.testing.assert_close(crop(*pair), crop(np.stack(rolled), boxes), rtol=0, atol=1e-3)
    assert np.array_equal(pair[0], pixels)


@given(st.integers(0, 60), st.booleans(), st.integers(0, 99))
def test_boxes_stay_within_the_picture_and_keep_their_size(shift, flip, seed):
    pixels, boxes, hashes = faces(20, seed)
    boxes[0] = [0, 0, WIDTH, HEIGHT]
    _, found = augmented((pixels, boxes, hashes), settings(flip=flip, shift=shift), seed)
    assert (found >= 0).all() and (found[:, 2:] <= [WIDTH, HEIGHT]).all()
    before, after = (box[:, 2:] - box[:, :2] for box in (boxes, found))
    np.testing.assert_allclose(after, before, atol=1e-4)


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
    change = change_of_epoch(ALL, seed=1, epoch=1)
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

    def noted(settings, *, seed, epoch):
        def change(pixels, boxes, hashes, each):
            seen.extend((epoch, int(face)) for face in hashes)
            return augment(pixels, boxes, hashes, settings, seed=seed, epoch=epoch, each=each)

        return change

    monkeypatch.setattr(training, "change_of_epoch", noted)
    world, nobody = bright_faces(20), bright_faces(9, "v")
    changes = {"augmentation": ALL, "epochs": 2}
    training.train(small_encoder(8, seed=1), world, nobody, pretext(**changes), seed=1)
    hashes = [int(face) for face in world.hashes]
    assert sorted(seen) == sorted((epoch, face) for epoch in (1, 2) for face in hashes)
