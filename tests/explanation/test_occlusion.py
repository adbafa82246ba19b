"""Covering parts of a face, against one picture and one pixel at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from pipeline.base.errors import PipelineError
from pipeline.base.schema import FeatureExtraction
from pipeline.density.density import Density
from pipeline.encoder.inference import fused
from pipeline.encoder.preprocessing import Preprocessing
from pipeline.explanation import occlusion
from pipeline.explanation.occlusion import PATCH, Scorer
from tests.elsewhere import META, elsewhere
from tests.small_encoder import small_encoder
from tests.small_features import normal

SIZE, D = 36, 6
SETTINGS = FeatureExtraction(batch_size=4, device="cpu", precision="float32")
# So narrow that the scores of different pictures differ much.
MIXTURE = normal(D, precision=1e4)
DENSITY = Density({"features": MIXTURE})


@pytest.fixture(scope="module")
def scorer():
    encoder = small_encoder(D, seed=1).eval()
    return Scorer(encoder, Preprocessing(SIZE), SETTINGS, DENSITY)


def pictures(n, shape=(SIZE, SIZE)):
    return list(np.random.default_rng(0).integers(0, 256, (n, *shape, 3), dtype=np.uint8))


def windowed(i):
    """The window at pixel i of one side: sin² ramps over a quarter at both ends, 1 between."""
    return np.sin(np.pi / 2 * min(1, 4 * (min(i, PATCH - 1 - i) + 0.5) / PATCH)) ** 2


@torch.inference_mode()
def naive_map(scorer, picture):
    """The definition: cover, encode and score one picture after the other; average one pixel after
    the other.
    """

    def score(pixels):
        faces = torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1)[None])
        return MIXTURE.anomaly_score(scorer.encoder(faces)[0].numpy())[0]

    plain = picture.astype(np.float64)
    channels = [gaussian_filter(plain[..., c], PATCH / 2, mode="nearest") for c in range(3)]
    blurred = np.stack(channels, axis=-1)
    total, weight = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE))
    for top in (0, 8, 16, 20):
        for left in (0, 8, 16, 20):
            window = np.zeros((SIZE, SIZE))
            for y in range(PATCH):
                for x in range(PATCH):
                    window[top + y, left + x] = windowed(y) * windowed(x)
            covered = (1 - window[..., None]) * plain + window[..., None] * blurred
            total += window * (score(plain) - score(covered))
            weight += window
    return total / weight


def test_maps_are_those_of_the_definition(scorer):
    faces = pictures(2)
    found = occlusion.maps(scorer, faces)
    for face, (seen, drop) in zip(faces, found, strict=True):
        np.testing.assert_array_equal(seen, face)
        expected = naive_map(scorer, face)
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(drop, expected, atol=1e-3 * np.abs(expected).max())


def test_maps_depend_neither_on_workers_nor_on_the_other_faces(scorer, monkeypatch):
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    alone = [occlusion.maps(scorer, [face])[0] for face in pictures(3)]
    monkeypatch.setenv("PIPELINE_WORKERS", "3")
    for pair, other in zip(occlusion.maps(scorer, pictures(3)), alone, strict=True):
        for array, expected in zip(pair, other, strict=True):
            np.testing.assert_array_equal(array, expected)
    assert occlusion.maps(scorer, []) == []


def test_pictures_of_other_shapes_are_resized_as_for_extraction(scorer):
    wide = pictures(1, (20, 50))[0]
    ((seen, drop),) = occlusion.maps(scorer, [wide])
    assert seen.shape == (SIZE, SIZE, 3) and drop.shape == (SIZE, SIZE) and np.isfinite(drop).all()
    assert abs(seen.mean() - wide.mean()) < 2


def test_a_mixture_of_other_features_is_refused():
    other = Scorer(small_encoder(D + 1), Preprocessing(SIZE), SETTINGS, DENSITY)
    with pytest.raises(PipelineError, match="the mixture was fitted on 6"):
        occlusion.maps(other, pictures(1))


# --- where the patches lie, and how they overlap

sides = st.integers(PATCH, 90)


@given(sides)
def test_patches_cover_every_pixel_and_stay_inside(size):
    first = occlusion.starts(size)
    assert first[0] == 0 and first[-1] == size - PATCH
    assert (np.diff(first) > 0).all() and (np.diff(first) <= PATCH // 2).all()
    assert occlusion.starts(88).tolist() == list(range(0, 80, 8)), "the sample's"


@given(sides, st.integers(0, 100))
def test_maps_lie_between_the_drops_of_the_patches_on_them(size, seed):
    values = np.random.default_rng(seed).normal(size=len(occlusion.starts(size)) ** 2)
    drop = occlusion.spread(values, size)
    assert values.min() - 1e-9 <= drop.min() and drop.max() <= values.max() + 1e-9
    assert drop[0, 0] == pytest.approx(values[0]) and drop[-1, -1] == pytest.approx(values[-1])
    np.testing.assert_allclose(occlusion.spread(np.full_like(values, seed), size), seed)


# --- words and colours


@pytest.mark.parametrize(
    ("y", "x", "where"),
    [
        (0, 0, "upper left"),
        (2, 15, "upper middle"),
        (29, 29, "lower right"),
        (15, 15, "middle"),
        (15, 2, "middle left"),
    ],
)
def test_where_the_largest_drop_lies(y, x, where):
    drop = np.full((30, 30), -1.0)
    drop[y, x] = 2.5
    assert occlusion.strongest(drop) == (2.5, where)


def test_equal_drops_lie_in_their_middle_and_without_any_nowhere():
    drop = np.zeros((30, 60))
    drop[20:30, 0:20] = 1
    assert occlusion.strongest(drop) == (1, "lower left")
    assert occlusion.strongest(np.ones((30, 30))) == (1, "middle")
    assert occlusion.strongest(np.zeros((4, 4))) == (0, "nowhere")
    assert occlusion.strongest(np.full((4, 4), -2.0)) == (-2, "nowhere")


def test_red_lowers_blue_raises_grey_does_neither():
    picture, drop = pictures(1)[0], np.zeros((SIZE, SIZE))
    drop[:8], drop[8:16], drop[16:24] = 3, -3, -1
    shown = occlusion.overlay(picture, drop).astype(int)
    red, blue = shown[..., 0], shown[..., 2]
    assert (red[:8] > blue[:8] + 50).all() and (blue[8:16] > red[8:16] + 50).all()
    assert 20 < (blue - red)[16:24].mean() < (blue - red)[8:16].mean()
    grey = np.round(picture[24:] @ np.array([0.299, 0.587, 0.114]))
    np.testing.assert_array_equal(shown[24:], np.repeat(grey[..., None], 3, axis=2))
    plain = occlusion.overlay(picture, np.zeros((SIZE, SIZE)))
    assert plain.dtype == np.uint8 and (np.ptp(plain, axis=2) == 0).all()


def test_covered_faces_go_to_the_device(scorer, monkeypatch):
    with elsewhere(monkeypatch) as device:
        model = fused(scorer.encoder).to(META)
        found = occlusion.drops(scorer, model, np.ones((3, SIZE, SIZE), np.float32))
    assert found.shape == (16,) and device.reads == [*[(4, D), (4, 5)] * 4, (1, D), (1, 5)]


def test_auto_is_the_precision_of_the_hardware(scorer, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    auto, named = (
        replace(scorer, settings=SETTINGS.model_copy(update={"precision": precision}))
        for precision in ("auto", "bfloat16")
    )
    drops = [occlusion.maps(s, pictures(1))[0][1] for s in (auto, named, scorer)]
    assert np.array_equal(drops[0], drops[1]) and not np.array_equal(drops[0], drops[2])
