"""Files are read whole, whatever their size and however little the file system gives at a time."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common import pictures


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200, 250, 1000])
def test_bytes_are_complete_up_to_the_maximum_and_show_what_is_more(tmp_path, monkeypatch, size):
    monkeypatch.setattr(pictures, "_READ", 100)
    content = np.random.default_rng(size).bytes(size)
    (tmp_path / "file").write_bytes(content)
    for maximum in (99, 100, 150, 200, 1000):
        read = pictures.read_bytes(str(tmp_path / "file"), maximum)
        assert (
            read == content
            if size <= maximum
            else maximum < len(read) <= maximum + 100 and content.startswith(read)
        )


@given(
    st.integers(0, 400),
    st.lists(st.integers(1, 120), min_size=1, max_size=5),
    st.sampled_from([50, 400, 1000]),
)
def test_a_read_that_gives_less_than_asked_is_not_the_end(tmp_path_factory, size, chunks, maximum):
    path, real, turns = tmp_path_factory.getbasetemp() / "slow", os.read, iter(chunks * 400)
    content = np.random.default_rng(size).bytes(size)
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "_READ", 100)
        patch.setattr(
            os, "read", lambda descriptor, count: real(descriptor, min(count, next(turns)))
        )
        read = pictures.read_bytes(path, maximum)
    assert (
        read == content
        if size <= maximum
        else maximum < len(read) <= maximum + 100 and content.startswith(read)
    )


def test_files_that_cannot_be_read_are_closed_again(tmp_path):
    with pytest.raises(FileNotFoundError):
        pictures.read_bytes(tmp_path / "none", 10)
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        with pytest.raises(IsADirectoryError):
            pictures.read_bytes(tmp_path, 10)
    assert len(os.listdir("/dev/fd")) == before
