"""Several face sets at once: what was written comes back, and keyed choices among their faces."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet


def made(name, n=20):
    """A set of n faces, two of each person."""
    rng = np.random.default_rng(n)
    return FeatureSet(
        name,
        names=np.array([f"data/{name}/{i // 2:03}_{i % 2}.png" for i in range(n)]),
        persons=np.array([f"{i // 2:03}" for i in range(n)]),
        features=rng.normal(size=(n, 4)).astype(np.float32).astype(np.float64),
        heads=rng.normal(size=(n, 5)).astype(np.float32).astype(np.float64),
        digests=np.array([f"{i:064x}" for i in range(n)]),
    )


def assert_same(first, second):
    assert first.name == second.name
    for column in ("names", "persons", "features", "heads", "digests"):
        np.testing.assert_array_equal(getattr(first, column), getattr(second, column))


def test_sets_come_back_in_the_order_asked_for_and_others_are_removed(tmp_path, capsys):
    for name, n in (("sdxl", 6), ("photographic_test", 8), ("former", 4)):
        feature_sets.write(tmp_path / f"{name}.npz", made(name, n))
    sets = feature_sets.read_all(tmp_path, ["photographic_test", "sdxl"])
    assert list(sets) == ["photographic_test", "sdxl"]
    assert_same(sets["photographic_test"], made("photographic_test", 8))
    assert_same(sets["sdxl"], made("sdxl", 6))
    assert sets["sdxl"].features.dtype == sets["sdxl"].heads.dtype == np.float64
    assert not (tmp_path / "former.npz").exists() and "former.npz" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": None}, "missing heads"),
        ({"digests": None, "persons": None}, "missing digests, persons"),
        ({"heads": np.zeros((20, 4), np.float32)}, "heads without names"),
        ({"persons": np.zeros(19, "U1")}, "columns of different lengths"),
        ({"names": np.full(20, "a")}, "a name twice"),
        ({"heads": np.full((20, 5), np.nan, np.float32)}, "NaN or infinite"),
        ({"features": np.full((20, 4), np.inf, np.float32)}, "NaN or infinite"),
        ({"features": np.zeros((0, 4), np.float32)}, "shape"),
    ],
)
def test_a_file_that_extract_features_would_not_write_is_refused(tmp_path, changes, message):
    path = tmp_path / "sdxl.npz"
    feature_sets.write(path, made("sdxl"))
    arrays = artifacts.read_npz(path) | changes
    artifacts.write_npz(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(PipelineError, match=message):
        feature_sets.read(path, "sdxl")


def test_at_most_keeps_rows_together_and_depends_on_seed_and_purpose():
    faces = made("sdxl", 40)
    chosen = faces.at_most(5, seed=1, purpose="test")
    rows = [faces.names.tolist().index(name) for name in chosen.names]
    assert rows == sorted(set(rows)) and len(rows) == 5
    assert_same(chosen, faces[np.array(rows)])
    assert chosen.names.tolist() != faces.at_most(5, seed=2, purpose="test").names.tolist()
    assert chosen.names.tolist() != faces.at_most(5, seed=1, purpose="other").names.tolist()
    assert_same(faces.at_most(1000, seed=1, purpose="test"), faces)


def test_joined_sets_are_split_again():
    sets = {"a": made("a", 8), "b": made("b", 6)}
    some = {"a": sets["a"][np.array([1, 4])], "b": sets["b"][np.array([0])]}
    arrays = feature_sets.joined(some)
    arrays |= {"features": arrays["features"] + 1, "heads": arrays["heads"] - 1}
    before, after = feature_sets.split(arrays, sets)
    for name in sets:
        assert_same(before[name], some[name])
        np.testing.assert_allclose(after[name].features, some[name].features + 1, rtol=1e-6)
        np.testing.assert_allclose(after[name].heads, some[name].heads - 1, rtol=1e-6)
        assert after[name].names.tolist() == some[name].names.tolist()


@pytest.mark.parametrize("column", ["features", "heads"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])  # the last does not fit into float32
def test_what_is_not_finite_is_not_written(tmp_path, column, value):
    faces = made("sdxl")
    broken = replace(faces, **{column: np.full_like(getattr(faces, column), value)})
    for one, histories in ((broken, {}), (faces, {"jpeg_75": broken})):
        with np.errstate(over="ignore"), pytest.raises(PipelineError, match="NaN or infinite"):
            feature_sets.write(tmp_path / "sdxl.npz", one, histories)
    assert not (tmp_path / "sdxl.npz").exists()
