import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.process_group import ProcessGroup
from pipeline.pretext.batches import batch_slices, batches, epoch_plan, paired_plan, validation_plan
from pipeline.pretext.faces import PHOTOGRAPH, face_set, shuffle_tags
from pipeline.pretext.global_batch import own_slice
from tests.pretext_world import FOUR


def make(n=20, per_face=4, offset=0):
    """Faces whose pixels tell their row: photographs 0.., manipulations 128..; the table is in
    reverse order of rows.
    """
    ids = np.arange(offset, offset + n)[::-1]
    faces = pd.DataFrame(
        {
            "face_id": [f"face{i}" for i in ids],
            "row": ids - offset,
            "iso": 100.0 * 2.0 ** (ids % 5),
            "f_number": 2.0 ** (ids % 4),
            "exposure_time_s": 1 / 2.0 ** (ids % 7),
            "focal_length_mm": 50.0,
        }
    )
    count = n * per_face
    manipulated = pd.DataFrame(
        {"row": np.arange(count), "face_row": np.arange(count) // max(per_face, 1)}
    )
    photographs = (
        np.arange(n, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
    )
    manipulations = (
        (128 + np.arange(count))
        .astype(np.uint8)[:, None, None, None]
        .repeat(4, 1)
        .repeat(4, 2)
        .repeat(3, 3)
    )
    boxes = np.tile(np.array([0.0, 0.0, 3.0, 3.0]), (n, 1)) + np.arange(n)[:, None] / 100 % 1
    return face_set(faces, photographs, manipulated, manipulations, boxes, ranked=FOUR)


def by_id(faces, plan):
    """What each face hash is shown as."""
    return {int(faces.hashes[i]): int(row) for i, row in zip(*plan, strict=True)}


def test_every_face_comes_once_and_as_its_own_manipulation():
    faces = make()
    order, shown = epoch_plan(faces, seed=1, epoch=1, photograph_probability=0.5)
    assert sorted(order) == list(range(20))
    for i, row in zip(order, shown, strict=True):
        assert row == PHOTOGRAPH or row // 4 == faces.rows[i]


def test_epochs_and_seeds_differ_and_a_repetition_does_not():
    faces = make()
    plans = [
        epoch_plan(faces, seed=s, epoch=e, photograph_probability=0.5)
        for s, e in ((1, 1), (1, 1), (1, 2), (2, 1))
    ]
    assert np.array_equal(plans[0][0], plans[1][0]) and np.array_equal(plans[0][1], plans[1][1])
    for other in plans[2:]:
        assert not any(np.array_equal(a, b) for a, b in zip(plans[0], other, strict=True))


def test_other_faces_have_no_influence_on_what_a_face_is_shown_as():
    small, large = make(8, offset=0), make(30, offset=0)
    shown = [
        by_id(f, epoch_plan(f, seed=1, epoch=3, photograph_probability=0.5)) for f in (small, large)
    ]
    assert all(shown[1][face] == row for face, row in shown[0].items())


def test_shares_are_half_photographs_and_an_eighth_of_each_manipulation():
    n = 8000
    faces = make(10)
    hashes = np.random.default_rng(0).integers(0, 2**63, n).astype(np.uint64)
    rows, counts = np.tile(np.arange(4), (n, 1)), np.full(n, 4)
    many = dataclasses.replace(
        faces, hashes=hashes, rows=hashes, manipulated_rows=rows, manipulated_counts=counts
    )
    _, shown = epoch_plan(many, seed=1, epoch=1, photograph_probability=0.5)
    shares = np.bincount(shown + 1, minlength=5) / n
    assert shares == pytest.approx([0.5, 0.125, 0.125, 0.125, 0.125], abs=4 * np.sqrt(0.25 / n))


@pytest.mark.parametrize("count", [2, 7, 20])
def test_pairs_are_a_photograph_and_its_manipulation_and_two_epochs_show_every_face(count):
    faces = make(count)
    seen = []
    for epoch in (5, 6):
        order, shown = paired_plan(faces, seed=1, epoch=epoch)
        assert (order[::2] == order[1::2]).all() and (shown[::2] == PHOTOGRAPH).all()
        assert (shown[1::2] // 4 == faces.rows[order[1::2]]).all()
        seen += order[::2].tolist()
    assert sorted(seen) == list(range(count))


def test_pairs_differ_by_epoch_and_seed_and_a_face_without_manipulations_stays_a_photograph():
    faces = make(200)
    plans = [paired_plan(faces, seed=s, epoch=e) for s, e in ((1, 1), (1, 1), (1, 3), (2, 1))]
    assert np.array_equal(plans[0], plans[1])
    assert not any(np.array_equal(plans[0][0], other[0]) for other in plans[2:])
    kinds = np.bincount(plans[0][1][1::2] % 4, minlength=4) / 100
    assert kinds == pytest.approx([0.25] * 4, abs=4 * np.sqrt(0.25 * 0.75 / 100))
    assert (paired_plan(make(6, per_face=0), seed=1, epoch=1)[1] == PHOTOGRAPH).all()


@pytest.mark.parametrize(("per_face", "probability"), [(0, 0.01), (4, 1.0)])
def test_faces_without_manipulations_stay_photographs(per_face, probability):
    _, shown = epoch_plan(
        make(per_face=per_face), seed=1, epoch=1, photograph_probability=probability
    )
    assert (shown == PHOTOGRAPH).all()


def test_load_takes_pixels_boxes_and_tags_of_the_same_face():
    faces = make(6)
    batch = faces.load(np.array([0, 5, 2]), np.array([PHOTOGRAPH, 1, PHOTOGRAPH]))
    shown = batch.pixels[:, 0, 0, 0].tolist()
    assert shown == [5, 129, 3]  # the table is reversed: face 0 is row 5
    assert batch.manipulated.tolist() == [0, 1, 0]
    assert batch.boxes[:, 0].tolist() == pytest.approx([0, 0.05, 0.02])
    assert batch.tags[0].tolist() == pytest.approx(
        [np.log2(100), 2.0, -5.0, np.log2(50)]  # f/2 is two stops above f/1
    )
    assert batch.pixels.dtype == torch.uint8


def test_pictures_on_disk_are_left_alone():
    faces = make(6)
    before = faces.photographs.copy()
    faces.load(np.array([0, 1]), np.array([0, 1]))
    assert np.array_equal(faces.photographs, before)


@given(st.integers(0, 200), st.integers(2, 40))
@settings(deadline=None)
def test_batch_slices_cover_everything_and_leave_no_face_alone(n, size):
    parts = batch_slices(n, size)
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    lengths = [part.stop - part.start for part in parts]
    assert all(length == size for length in lengths[:-1])
    assert n == 1 or all(2 <= length <= size + 1 for length in lengths)


def test_validation_plan_scores_everything_once():
    faces = make(5)
    order, shown = validation_plan(faces)
    assert order[:5].tolist() == list(range(5)) and (shown[:5] == PHOTOGRAPH).all()
    assert sorted(shown[5:]) == list(range(20))
    assert all(row // 4 == faces.rows[i] for i, row in zip(order[5:], shown[5:], strict=True))


def test_validation_plan_with_one_per_face_walks_through_the_kinds():
    order, shown = validation_plan(make(8), per_face=1)
    assert order[8:].tolist() == list(range(8))
    assert np.bincount(shown[8:] % 4).tolist() == [2, 2, 2, 2]
    assert len(validation_plan(make(8, per_face=0), per_face=1)[0]) == 8
    assert len(validation_plan(make(0))[0]) == 0


def test_batches_follow_the_plan():
    faces = make(9)
    plan = epoch_plan(faces, seed=1, epoch=1, photograph_probability=0.5)
    values = np.concatenate(
        [batch.pixels[:, 0, 0, 0].numpy() for batch in batches(faces, plan, batch_slices(9, 4))]
    )
    expected = [
        faces.rows[i] if row == PHOTOGRAPH else 128 + row for i, row in zip(*plan, strict=True)
    ]
    assert values.tolist() == expected
    assert [len(batch) for batch in batches(faces, plan, batch_slices(9, 4))] == [4, 5]


@pytest.mark.parametrize("changed", [False, True])
def test_a_box_outside_its_picture_is_refused_before_any_device_sees_it(changed):
    faces = make(9)
    plan = epoch_plan(faces, seed=1, epoch=1, photograph_probability=0.5)
    change: Any = None
    if changed:
        change = lambda pixels, boxes, hashes, each: (pixels, boxes + 2)  # noqa: E731
    else:
        faces.boxes[4, 2] = 4.5
    with pytest.raises(ValueError, match="within the 4 x 4 picture"):
        list(batches(faces, plan, batch_slices(9, 4), change=change))


def test_all_of_a_batch_is_pinned_and_sent(monkeypatch):
    """To a device that computes shapes alone."""
    pinned: list[torch.Tensor] = []

    def pin(part):
        pinned.append(part)
        return part

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    faces = make(4)
    plan = epoch_plan(faces, seed=1, epoch=1, photograph_probability=0.5)
    (batch,) = batches(faces, plan, [slice(0, 4)], pin=True)
    assert len(pinned) == 4 and len(batch) == 4
    sent = batch.to(torch.device("meta"))
    assert all(part.is_meta for part in (sent.pixels, sent.boxes, sent.tags, sent.manipulated))


def test_processes_load_parts_that_make_the_batch_and_know_all_its_tags():
    faces = make(9)
    plan = epoch_plan(faces, seed=1, epoch=1, photograph_probability=0.5)
    (whole,) = batches(faces, plan, [slice(0, 7)])
    groups = [ProcessGroup(rank, 2) for rank in range(2)]
    parts = [
        next(batches(faces, plan, [slice(0, 7)], own=partial(own_slice, group=group)))
        for group in groups
    ]
    for name in ("pixels", "boxes"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    for part in parts:
        assert torch.equal(part.tags, whole.tags) and len(part) == 7
        assert torch.equal(part.manipulated, whole.manipulated)


def test_shuffled_tags_are_whole_rows_that_tell_nothing_about_the_face():
    """Rank correlation of 2,000 faces' tags with those that they get: within three standard errors
    of 0.
    """
    tags = np.arange(2000, dtype=np.float32)[:, None].repeat(4, axis=1)
    faces = dataclasses.replace(make(), tags=tags, rows=np.arange(2000))
    shuffled = shuffle_tags(faces, 1)
    assert sorted(map(tuple, shuffled.tags)) == sorted(map(tuple, tags))
    assert abs(np.corrcoef(tags[:, 0], shuffled.tags[:, 0])[0, 1]) < 3 / 2000**0.5
    for field in dataclasses.fields(faces):
        assert field.name == "tags" or getattr(shuffled, field.name) is getattr(faces, field.name)
    assert np.array_equal(shuffled.tags, shuffle_tags(faces, 1).tags)
    assert not np.array_equal(shuffled.tags, shuffle_tags(faces, 2).tags)
