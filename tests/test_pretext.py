"""What a run of the pretext task is made of; whole runs are in tests/stages: test_train_pretext.py,
test_train_shuffled.py.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.encoder.checkpoints import load_encoder
from pipeline.encoder.network import Encoder
from pipeline.pretext.task import Task, fingerprint, save, shuffle_tags
from tests.test_training import bright_faces, pretext

FACES = bright_faces(50)


def test_shuffled_tags_are_whole_rows_of_the_same_faces_in_another_order():
    faces = dataclasses.replace(
        FACES, tags=np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    )
    shuffled = shuffle_tags(faces, 1)
    assert sorted(map(tuple, shuffled.tags)) == sorted(map(tuple, faces.tags))
    assert (shuffled.tags == faces.tags).all(axis=1).sum() < 8  # one stays in its place on average
    for field in dataclasses.fields(faces):
        assert field.name == "tags" or getattr(shuffled, field.name) is getattr(faces, field.name)


def test_shuffled_tags_tell_nothing_about_the_face():
    """Rank correlation of 2,000 faces' tags with those that they get: within three standard errors
    of 0.
    """
    tags = np.arange(2000, dtype=np.float32)[:, None].repeat(4, axis=1)
    faces = dataclasses.replace(FACES, tags=tags, rows=np.arange(2000))
    assert abs(np.corrcoef(tags[:, 0], shuffle_tags(faces, 1).tags[:, 0])[0, 1]) < 3 / 2000**0.5


@given(st.integers(0, 2**40))
def test_the_order_hangs_on_the_seed_alone(seed):
    assert np.array_equal(shuffle_tags(FACES, seed).tags, shuffle_tags(FACES, seed).tags)
    assert not np.array_equal(shuffle_tags(FACES, seed).tags, shuffle_tags(FACES, seed + 1).tags)


def test_no_face_has_nothing_to_shuffle():
    assert len(shuffle_tags(bright_faces(0), 1).tags) == 0


def test_saved_states_are_of_one_task_start_and_input(tmp_path):
    (tmp_path / "faces").write_text("faces")
    start, task = Encoder("resnet10", 8, seed=1), Task(pretext(), 1, [tmp_path / "faces"])
    others = [
        fingerprint(start, dataclasses.replace(task, shuffled=True)),
        fingerprint(start, dataclasses.replace(task, seed=2)),
        fingerprint(start, dataclasses.replace(task, settings=pretext(epochs=2))),
        fingerprint(Encoder("resnet10", 8, seed=2), task),
    ]
    first = fingerprint(start, task)
    (tmp_path / "faces").write_text("other faces")
    assert len({first, *others, fingerprint(start, task)}) == 6
    (tmp_path / "faces").write_text("faces")
    assert fingerprint(Encoder("resnet10", 8, seed=1), task) == first


@pytest.mark.parametrize("shuffled", [False, True])
def test_an_encoder_says_how_it_was_trained(tmp_path, shuffled):
    save(
        Encoder("resnet10", 8),
        Task(pretext(input_size=48), 5, [], shuffled),
        tmp_path / "encoder.safetensors",
    )
    _, meta = load_encoder(tmp_path / "encoder.safetensors")
    assert (
        meta["input_size"] == 48
        and meta["params"]["seed"] == 5
        and meta["params"]["pretext"]["input_size"] == 48
    )
    assert meta["params"].get("exif_tags") == ("shuffled" if shuffled else None)
