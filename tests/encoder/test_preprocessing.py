"""Cropping against PIL and torch, boxes against a naive loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.encoder import preprocessing
from pipeline.encoder.preprocessing import check_boxes, crop_resize, square_box

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def pictures(n=3, height=40, width=52, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def pil_resize(picture, box, size):
    channels = [Image.fromarray(picture[..., c].astype(np.float32)) for c in range(3)]
    out = [
        np.asarray(c.resize((size, size), Image.Resampling.BILINEAR, box=tuple(box.tolist())))
        for c in channels
    ]
    return np.stack(out)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [7, 24, 64])
def test_antialiased_crops_are_those_of_pil(size, device):
    images = pictures()
    boxes = np.array([[0.0, 0.0, 52.0, 40.0], [3.25, 5.5, 33.75, 36.125], [20.3, 0.0, 52.0, 31.7]])
    there = torch.from_numpy(images).to(device), torch.from_numpy(boxes).to(device)
    ours = crop_resize(*there, size)
    assert (
        ours.shape == (3, 3, size, size)
        and ours.dtype == torch.float32
        and ours.device.type == device
    )
    theirs = np.stack(
        [pil_resize(image, box, size) for image, box in zip(images, boxes, strict=True)]
    )
    np.testing.assert_allclose(ours.cpu().numpy(), theirs, atol=2e-3)


@pytest.mark.parametrize("size", [9, 25, 64])
def test_whole_pictures_without_antialiasing_are_those_of_torch(size):
    images = torch.from_numpy(pictures())
    whole = torch.tensor([[0.0, 0, 52, 40]] * 3)
    ours = crop_resize(images, whole, size, antialias=False)
    theirs = torch.nn.functional.interpolate(
        images.permute(0, 3, 1, 2).float(), (size, size), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)


@pytest.mark.parametrize("size", [10, 48])
def test_integer_boxes_without_antialiasing_are_those_of_torch(size):
    """Shrinking: everywhere. Enlarging: away from the edge, where torch, having cropped, does not
    see the next pixel.
    """
    images = torch.from_numpy(pictures())
    boxes = torch.tensor([[4, 6, 34, 36], [0, 0, 40, 40], [20, 8, 52, 40]])
    ours = crop_resize(images, boxes, size, antialias=False)
    inside = slice(2, -2) if size > 30 else slice(None)
    for i, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        crop = images[i : i + 1, y0:y1, x0:x1].permute(0, 3, 1, 2).float()
        theirs = torch.nn.functional.interpolate(
            crop, (size, size), mode="bilinear", align_corners=False
        )
        torch.testing.assert_close(
            ours[i, :, inside, inside], theirs[0, :, inside, inside], atol=2e-3, rtol=0
        )


@pytest.mark.parametrize("antialias", [True, False])
def test_a_box_at_its_own_size_is_a_copy(antialias):
    images = torch.from_numpy(pictures())
    boxes = torch.tensor([[5.0, 3, 21, 19]] * 3)
    ours = crop_resize(images, boxes, 16, antialias=antialias)
    assert torch.equal(ours, images[:, 3:19, 5:21].permute(0, 3, 1, 2).float())


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(21, 40), st.floats(21, 40)),
    st.integers(1, 50),
    st.booleans(),
    st.integers(0, 255),
)
def test_a_uniform_picture_stays_uniform(box, size, antialias, value):
    images = torch.full((1, 40, 40, 3), value, dtype=torch.uint8)
    boxes = torch.tensor([box], dtype=torch.float64)
    ours = crop_resize(images, boxes, size, antialias=antialias)
    torch.testing.assert_close(
        ours, torch.full((1, 3, size, size), float(value)), atol=1e-3, rtol=0
    )


def test_faces_do_not_depend_on_their_batch():
    images, boxes = torch.from_numpy(pictures(8)), torch.tensor([[2.5, 3.5, 30, 31]] * 8)
    together = crop_resize(images, boxes, 20)
    alone = torch.cat([crop_resize(images[i : i + 1], boxes[i : i + 1], 20) for i in range(8)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.array([[0.0, 0.0, 53.0, 40.0]]), "within the 52 x 40"),
        (np.array([[-0.1, 0.0, 5.0, 5.0]]), "within"),
        (np.array([[5.0, 0.0, 5.0, 5.0]]), "x0 < x1"),
        (np.array([[np.nan, 0.0, 5.0, 5.0]]), "x0 < x1"),
    ],
)
def test_bad_boxes_are_refused_and_named(boxes, message):
    good = np.array([[0.0, 0.0, 52.0, 40.0]])
    check_boxes(good, 52, 40)
    check_boxes(np.zeros((0, 4)), 52, 40)
    with pytest.raises(ValueError, match=rf"in row 1: .*{message}"):
        check_boxes(np.concatenate([good, boxes, boxes]), 52, 40)


def test_every_picture_needs_a_box():
    with pytest.raises(ValueError, match=r"shape \(1, 4\)"):
        crop_resize(torch.from_numpy(pictures(1)), torch.zeros(2, 4), 8)


def test_large_pictures_are_resampled_a_few_at_a_time(monkeypatch):
    images, boxes = torch.from_numpy(pictures(5)), torch.tensor([[1.0, 2, 30, 31]] * 5)
    whole = crop_resize(images, boxes, 8)
    monkeypatch.setattr(preprocessing, "FLOATS", 2 * 40 * 52 * 3)
    sizes, bmm = [], torch.bmm

    def counted(a, b):
        sizes.append(len(a))
        return bmm(a, b)

    monkeypatch.setattr(torch, "bmm", counted)
    assert torch.equal(crop_resize(images, boxes, 8), whole) and sizes == [2, 2, 1]


def test_no_pictures():
    none = torch.zeros((0, 4, 4, 3), dtype=torch.uint8), torch.zeros((0, 4))
    assert crop_resize(*none, 8).shape == (0, 3, 8, 8)


def test_square_box_by_hand():
    boxes = np.array(
        [[40.0, 30.0, 80.0, 90.0], [0.0, 0.0, 20.0, 20.0], [100.0, 100.0, 128.0, 128.0]]
    )
    expected = [[21.0, 21.0, 99.0, 99.0], [0.0, 0.0, 23.0, 23.0], [95.8, 95.8, 128.0, 128.0]]
    np.testing.assert_allclose(square_box(boxes, 1.3, 128, 128), expected)


@given(
    st.lists(
        st.tuples(st.floats(1, 99), st.floats(1, 79), st.floats(0.5, 60), st.floats(0.5, 60)),
        min_size=1,
        max_size=5,
    ),
    st.floats(0.5, 3),
)
def test_square_box_agrees_with_a_loop(shapes, scale):
    boxes = np.array([[cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2] for cx, cy, w, h in shapes])
    ours = square_box(boxes, scale, 100, 80)
    for (x0, y0, x1, y1), out in zip(boxes, ours, strict=True):
        half = max(x1 - x0, y1 - y0) * scale / 2
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        np.testing.assert_allclose(
            out, [max(cx - half, 0), max(cy - half, 0), min(cx + half, 100), min(cy + half, 80)]
        )
        assert out[0] < out[2] and out[1] < out[3]


@pytest.mark.parametrize(
    "box", [[5, 5, 5, 9], [9, 5, 5, 9], [-30, 0, 10, 10], [0, 0, 300, 10], [0, 0, np.nan, 10]]
)
def test_square_box_refuses_empty_and_outside(box):
    with pytest.raises(ValueError, match="in row 1 is empty or lies outside the 100 x 80"):
        square_box(np.array([[1, 1, 5, 5], box], dtype=float), 1.3, 100, 80)
