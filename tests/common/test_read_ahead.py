import threading
import time
from functools import partial

import pytest

from pipeline.common.read_ahead import read_ahead


def test_the_order_is_kept_and_little_is_read():
    started = []

    def slow(i):
        started.append(i)
        time.sleep(0.001 * (5 - i % 5))
        return i

    results = read_ahead((partial(slow, i) for i in range(12)), depth=2)
    assert next(results) == 0
    assert len(started) <= 3
    assert list(results) == list(range(1, 12))


def test_errors_are_passed_on_and_no_thread_is_left():
    def broken():
        raise OSError("disk gone")

    before = threading.active_count()
    results = read_ahead(iter([lambda: 1, broken, lambda: 3]), depth=1)
    assert next(results) == 1
    with pytest.raises(OSError, match="disk gone"):
        next(results)
    assert threading.active_count() == before
