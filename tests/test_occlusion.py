"""Covering parts of a face, against one picture and one pixel at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from pipeline.base.errors import PipelineError
from pipeline.base.schema import FeatureExtraction
from pipeline.density.mixture import Mixture
from pipeline.encoder.network import Encoder, normalise
from pipeline.explanation import occlusion

SIZE, PATCH, D = 32, 12, 6
SETTINGS = FeatureExtraction(
    resize="bilinear",
    antialias=True,
    batch_size=4,
    device="cpu",
    precision="float32",
    maximum_unreadable_share=0,
    maximum_fit_faces=1,
    maximum_faces=1,
)
# So narrow that the scores of different pictures differ much.
MIXTURE = Mixture(
    "spherical",
    np.zeros(D),
    np.ones(D),
    np.zeros((0, D)),
    np.ones(1),
    np.zeros((1, D)),
    np.full(1, 100.0),
)


@pytest.fixture(scope="module")
def scorer():
    return occlusion.PictureScorer(Encoder("resnet10", D, seed=1).eval(), SIZE, SETTINGS, MIXTURE)


def pictures(n, shape=(SIZE, SIZE)):
    return list(np.random.default_rng(0).integers(0, 256, (n, *shape, 3), dtype=np.uint8))


def windowed(i, length):
    """The window at pixel i of one side: sin² ramps over a quarter at both ends, 1 between."""
    place = min(i, length - 1 - i) + 0.5
    return np.sin(np.pi / 2 * min(1, 4 * place / length)) ** 2


@torch.inference_mode()
def naive_map(scorer, picture):
    """The definition: cover, encode and score one picture after the other; average one pixel after
    the other.
    """

    def score(pixels):
        faces = normalise(torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1)[None]))
        return MIXTURE.anomaly_score(scorer.encoder(faces)[0].numpy())[0]

    plain = picture.astype(np.float64)
    blurred = np.stack(
        [gaussian_filter(plain[..., c], PATCH / 2, mode="nearest") for c in range(3)], axis=-1
    )
    total, weight = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE))
    for top in (0, 6, 12, 18, 20):
        for left in (0, 6, 12, 18, 20):
            covered, window = plain.copy(), np.zeros((SIZE, SIZE))
            for y in range(PATCH):
                for x in range(PATCH):
                    w = windowed(y, PATCH) * windowed(x, PATCH)
                    window[top + y, left + x] = w
                    covered[top + y, left + x] = (1 - w) * plain[top + y, left + x] + w * blurred[
                        top + y, left + x
                    ]
            total += window * (score(plain) - score(covered))
            weight += window
    return total / weight


def test_maps_are_those_of_the_definition(scorer):
    faces = pictures(2)
    found = occlusion.maps(scorer, faces, PATCH)
    assert len(found) == 2
    for face, (seen, drop) in zip(faces, found, strict=True):
        np.testing.assert_array_equal(seen, face)
        expected = naive_map(scorer, face)
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(drop, expected, atol=1e-3 * np.abs(expected).max())


def test_maps_depend_neither_on_workers_nor_on_the_other_faces(scorer, monkeypatch):
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    alone = [occlusion.maps(scorer, [face], PATCH)[0] for face in pictures(3)]
    monkeypatch.setenv("PIPELINE_WORKERS", "3")
    for (seen, drop), (other_seen, other) in zip(
        occlusion.maps(scorer, pictures(3), PATCH), alone, strict=True
    ):
        np.testing.assert_array_equal(seen, other_seen)
        np.testing.assert_array_equal(drop, other)


def test_pictures_of_other_shapes_are_resized_as_for_extraction(scorer):
    wide = pictures(1, (20, 50))[0]
    ((seen, drop),) = occlusion.maps(scorer, [wide], PATCH)
    assert seen.shape == (SIZE, SIZE, 3) and drop.shape == (SIZE, SIZE) and np.isfinite(drop).all()
    assert abs(seen.mean() - wide.mean()) < 2


def test_covering_nothing_changes_nothing(scorer):
    ((seen, drop),) = occlusion.maps(scorer, [np.full((SIZE, SIZE, 3), 90, np.uint8)], PATCH)
    assert np.abs(drop).max() < 1e-3, "the blur of a plain picture is that picture"
    assert (seen == 90).all()


def test_no_faces_no_maps(scorer):
    assert occlusion.maps(scorer, [], PATCH) == []


@pytest.mark.parametrize("patch", [1, SIZE + 1])
def test_a_patch_that_does_not_fit_is_refused(scorer, patch):
    with pytest.raises(
        PipelineError, match=rf"explanation\.patch: {patch} pixels, allowed are 2 to {SIZE}"
    ):
        occlusion.maps(scorer, [], patch)


def test_a_mixture_of_other_features_is_refused(scorer):
    other = occlusion.PictureScorer(Encoder("resnet10", D + 1), SIZE, SETTINGS, MIXTURE)
    with pytest.raises(PipelineError, match="the mixture was fitted on 6"):
        occlusion.maps(other, pictures(1), PATCH)


# --- where the patches lie, and how they overlap

sides = st.integers(2, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(2, size)))


@given(sides)
def test_patches_cover_every_pixel_and_stay_inside(sides):
    size, patch = sides
    first = occlusion.starts(size, patch)
    assert (
        first[0] == 0
        and first[-1] == size - patch
        and (np.diff(first) > 0).all()
        and (np.diff(first) <= patch // 2).all()
    )


def test_the_positions_of_the_sample():
    assert occlusion.starts(88, 16).tolist() == [0, 8, 16, 24, 32, 40, 48, 56, 64, 72]
    assert occlusion.starts(10, 4).tolist() == [0, 2, 4, 6] and occlusion.starts(9, 4).tolist() == [
        0,
        2,
        4,
        5,
    ]


@given(st.integers(2, 60))
def test_windows_fade_out_and_are_nowhere_zero(patch):
    window = occlusion.window(patch)
    assert window.shape == (patch, patch) and (window > 0).all() and window.max() <= 1
    np.testing.assert_array_equal(window, window[::-1])
    np.testing.assert_array_equal(window, window.T)
    expected = [
        [windowed(y, patch) * windowed(x, patch) for x in range(patch)] for y in range(patch)
    ]
    np.testing.assert_allclose(window, expected, rtol=1e-6)


@given(sides, st.floats(-50, 50))
def test_equal_drops_give_a_plain_map(sides, value):
    count = len(occlusion.starts(*sides)) ** 2
    np.testing.assert_allclose(occlusion.spread(np.full(count, value), *sides), value)


@given(sides, st.integers(0, 100))
def test_maps_lie_between_the_drops_of_the_patches_on_them(sides, seed):
    size, patch = sides
    first = occlusion.starts(size, patch)
    values = np.random.default_rng(seed).normal(size=len(first) ** 2)
    drop = occlusion.spread(values, size, patch)
    assert values.min() - 1e-9 <= drop.min() and drop.max() <= values.max() + 1e-9
    assert drop[0, 0] == pytest.approx(values[0]) and drop[-1, 0] == pytest.approx(
        values[-len(first)]
    )


# --- words and colours


@pytest.mark.parametrize(
    ("y", "x", "where"),
    [
        (0, 0, "upper left"),
        (2, 15, "upper middle"),
        (29, 29, "lower right"),
        (15, 15, "middle"),
        (15, 2, "middle left"),
        (9, 10, "upper middle"),
    ],
)
def test_where_the_largest_drop_lies(y, x, where):
    drop = np.full((30, 30), -1.0)
    drop[y, x] = 2.5
    assert occlusion.strongest(drop) == (2.5, where)


def test_equal_drops_lie_in_their_middle():
    drop = np.zeros((30, 60))
    drop[20:30, 0:20] = 1
    assert occlusion.strongest(drop) == (1, "lower left")
    assert occlusion.strongest(np.ones((30, 30))) == (1, "middle")


def test_where_nothing_lowers_the_score():
    assert occlusion.strongest(np.full((4, 4), -2.0)) == (-2, "nowhere")
    assert occlusion.strongest(np.zeros((4, 4))) == (0, "nowhere")


def test_red_lowers_blue_raises_grey_does_neither():
    picture, drop = pictures(1)[0], np.zeros((SIZE, SIZE))
    drop[:8], drop[8:16], drop[16:24] = 3, -3, -1
    shown = occlusion.overlay(picture, drop).astype(int)
    red, blue = shown[..., 0], shown[..., 2]
    assert (red[:8] > blue[:8] + 50).all() and (blue[8:16] > red[8:16] + 50).all()
    assert ((blue - red)[16:24] > 20).all() and (
        (blue - red)[16:24].mean() < (blue - red)[8:16].mean()
    )
    luma = picture[24:] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_array_equal(shown[24:], np.repeat(np.round(luma)[..., None], 3, axis=2))


def test_a_map_without_effects_is_a_grey_picture():
    shown = occlusion.overlay(pictures(1)[0], np.zeros((SIZE, SIZE)))
    assert shown.dtype == np.uint8 and (np.ptp(shown, axis=2) == 0).all()
