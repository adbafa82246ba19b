"""Several face sets at once: the very files that the counts tell of, and keyed choices among their
faces.
"""

import hashlib

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.face_sets import feature_sets


def write(folder, name, n=20, **changes):
    """A feature file and its counts, as extract_features writes them."""
    rng = np.random.default_rng(n)
    arrays = {
        "names": np.array([f"data/{name}/{i // 2:03}_{i % 2}.png" for i in range(n)]),
        "features": rng.normal(size=(n, 4)).astype(np.float32),
        "heads": rng.normal(size=(n, 5)).astype(np.float32),
        "source_sha256": np.array([hashlib.sha256(bytes([i])).hexdigest() for i in range(n)]),
    }
    arrays = {key: value for key, value in (arrays | changes).items() if value is not None}
    artifacts.write_npz(folder / f"features/{name}.npz", **arrays)
    digest = hashlib.sha256((folder / f"features/{name}.npz").read_bytes()).hexdigest()
    artifacts.write_json(folder / f"counts/{name}.json", {"set": name, "sha256": digest})
    return arrays


def read_all(folder, *names):
    return feature_sets.read_all(folder / "features", folder / "counts", names)


def test_sets_are_read_as_they_were_written_in_the_order_asked_for(tmp_path):
    written = {
        name: write(tmp_path, name, n) for name, n in (("sdxl", 6), ("photographic_test", 8))
    }
    found = read_all(tmp_path, "photographic_test", "sdxl")
    assert list(found) == ["photographic_test", "sdxl"]
    for name, arrays in written.items():
        assert (
            len(found[name]) == len(arrays["names"])
            and found[name].names.tolist() == arrays["names"].tolist()
        )
        assert found[name].features.dtype == found[name].heads.dtype == np.float64
        assert np.array_equal(found[name].features, arrays["features"]) and np.array_equal(
            found[name].heads, arrays["heads"]
        )
        assert found[name].digests.tolist() == arrays["source_sha256"].tolist()


def test_another_file_than_the_counts_tell_of_is_refused_with_the_remedy(tmp_path):
    write(tmp_path, "sdxl")
    counts = (tmp_path / "counts/sdxl.json").read_bytes()
    write(tmp_path, "sdxl", 19)
    (tmp_path / "counts/sdxl.json").write_bytes(counts)
    with pytest.raises(
        PipelineError,
        match=r"sdxl\.npz is missing or not the file that .*counts tells of.*dvc checkout",
    ):
        read_all(tmp_path, "sdxl")
    (tmp_path / "features/sdxl.npz").unlink()
    with pytest.raises(PipelineError, match="dvc checkout"):
        read_all(tmp_path, "sdxl")


def test_counts_without_a_sum_or_absent_are_refused(tmp_path):
    write(tmp_path, "sdxl")
    artifacts.write_json(tmp_path / "counts/sdxl.json", {"set": "sdxl"})
    with pytest.raises(PipelineError, match="dvc repro"):
        read_all(tmp_path, "sdxl")
    (tmp_path / "counts/sdxl.json").unlink()
    with pytest.raises(PipelineError, match=r"sdxl\.json: no such file"):
        read_all(tmp_path, "sdxl")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"heads": None}, "no scores of five heads"),
        ({"heads": np.zeros((20, 4), np.float32)}, "no scores of five heads"),
        ({"source_sha256": None}, "no digests"),
        ({"heads": np.full((20, 5), np.nan, np.float32)}, "NaN or infinite"),
        ({"features": np.full((20, 4), np.inf, np.float32)}, "NaN or infinite"),
        ({"features": np.zeros((0, 4), np.float32)}, "shape"),
    ],
)
def test_a_file_that_extract_features_would_not_write_is_refused(tmp_path, changes, said):
    write(tmp_path, "sdxl", **changes)
    with pytest.raises(PipelineError, match=said):
        read_all(tmp_path, "sdxl")


def test_a_choice_is_by_name_and_stays_when_other_faces_come(tmp_path):
    write(tmp_path, "few", 20)
    write(
        tmp_path,
        "many",
        40,
        names=np.array([f"data/few/{i // 2:03}_{i % 2}.png" for i in range(40)]),
    )
    few, many = read_all(tmp_path, "few", "many").values()
    chosen = few.at_most(5, seed=1, purpose="test")
    assert len(chosen) == 5 and chosen.names.tolist() == sorted(set(chosen.names.tolist()))
    row = few.names.tolist().index(chosen.names[0])
    assert (
        np.array_equal(chosen.features[0], few.features[row])
        and chosen.digests[0] == few.digests[row]
    )
    both = [
        name
        for name in many.at_most(10, seed=1, purpose="test").names.tolist()
        if name in few.names.tolist()
    ]
    assert (
        0 < len(both) < 10 and both == few.at_most(len(both), seed=1, purpose="test").names.tolist()
    )
    assert chosen.names.tolist() != few.at_most(5, seed=2, purpose="test").names.tolist()
    assert chosen.names.tolist() != few.at_most(5, seed=1, purpose="other").names.tolist()
    assert len(few.at_most(1000, seed=1, purpose="test")) == 20


def test_people_are_told_of_photographs_and_every_generated_face_is_alone(tmp_path):
    write(tmp_path, "photographic_test", 6)
    write(tmp_path, "sdxl", 6)
    photographs, generated = read_all(tmp_path, "photographic_test", "sdxl").values()
    assert photographs.people("^([^_]+)_").tolist() == ["000", "000", "001", "001", "002", "002"]
    assert (
        len(set(photographs.people("").tolist()))
        == len(set(generated.people("^([^_]+)_").tolist()))
        == 6
    )
