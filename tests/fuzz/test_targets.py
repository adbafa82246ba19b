"""Every target of the fuzzer, on what it starts from and on that cut off or changed."""

import random

import pytest

from pipeline.base.errors import PipelineError
from pipeline.exif.tags import Rejection
from tests.fuzz.table import TARGETS


def tried(target, data, folder):
    """Whether the target accepts the bytes; an exception for a finding."""
    try:
        target.run(data, folder)
    except (PipelineError, Rejection):
        return False
    return True


@pytest.mark.filterwarnings("ignore")  # of Pillow on damaged bytes
@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_damaged_ones_are_read_or_refused(tmp_path, name):
    target, draw = TARGETS[name], random.Random(1)
    seeds = target.seeds()
    accepted = [seed for seed in seeds if tried(target, seed, tmp_path)]
    assert accepted
    modes = {seed[:1] for seed in seeds if seed[0] < 4}  # of targets that read several formats
    assert modes <= {seed[:1] for seed in accepted}, "nothing gets behind a format's first checks"
    for seed in seeds:
        tried(target, seed[: draw.randrange(len(seed))], tmp_path)
        for _ in range(8):
            place = draw.randrange(len(seed))
            changed = bytes([draw.randrange(256)])
            tried(target, seed[:place] + changed + seed[place + 1 :], tmp_path)
