"""A real run that is killed, and then meets a full disk. Kills at random moments are in
test_kills.py, several processes in test_processes.py.
"""

import resource
import shutil
from collections.abc import Iterator
from functools import partial

import pytest

from tests.small_runs import OUTS, SmallRepository, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Iterator[SmallRepository]:
    """Inputs, and no run yet."""
    folder = tmp_path_factory.mktemp("killed")
    yield SmallRepository.make(folder / "template")
    shutil.rmtree(folder)


def test_a_killed_run_that_meets_a_full_disk_says_so_and_resumes_to_the_same_bytes(template):
    undisturbed, run = (template.copy(template.folder.parent / name) for name in "ab")
    code, output = undisturbed.run()
    assert code == 0 and sorted(undisturbed.outs()) == sorted(OUTS), output
    with run.running() as trainer:
        wait_until(lambda: len(run.events("saved")) >= 3, "the third checkpoint")
        wait_until(lambda: len(run.events("step")) > 6, "the second epoch")
        trainer.kill()
    before = run.checkpoint.read_bytes()
    assert run.outs() == {}
    room = len(before) // 2  # bytes of a file, as on a disk that is nearly full
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (room, room))
    code, output = run.run(preexec_fn=limit)
    assert code == 1 and "Traceback" not in output
    assert "models/.resume/" in output and "make room" in output and "run again" in output
    assert run.checkpoint.read_bytes() == before
    code, output = run.run()
    assert code == 0 and run.resumed_from() is not None, output
    assert run.outs() == undisturbed.outs() and not run.checkpoint.exists()
