import math

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.pretext.tags import RankedTag, check_weights, rankable, warn_of_constant_tags
from tests.pretext_world import FOUR

BRIGHTNESS = RankedTag("brightness", "linear", 2.0)


def test_stops_count_halvings_of_light_or_units():
    iso, f_number, time, focal = FOUR
    assert iso.in_stops([100, 200, 800]) == pytest.approx(np.log2([100, 200, 800]))
    assert np.diff(f_number.in_stops([2.0, 2.0 * math.sqrt(2), 4.0])) == pytest.approx([1, 1])
    assert np.diff(time.in_stops([1 / 60, 1 / 30])) == pytest.approx([1])
    assert np.diff(focal.in_stops([25, 50])) == pytest.approx([1])
    assert BRIGHTNESS.in_stops([-1.5, 0, 2]).tolist() == [-3, 0, 4]
    for tag in (*FOUR, BRIGHTNESS):
        assert tag.value(float(tag.in_stops(2.8))) == pytest.approx(2.8)
        assert math.isnan(tag.in_stops(math.nan))


def test_a_tag_of_one_value_is_left_out_with_its_value(capsys):
    """A phone's: one aperture, focal lengths that differ in the last digit, ISO of two values."""
    nan = math.nan
    values: dict[str, list[float]] = {"iso": [100, 100, 200], "f_number": [1.8, 1.8, nan]}
    values |= {"exposure_time_s": [nan, nan, nan], "focal_length_mm": [4.25, 4.3, 4.25]}
    tags = np.stack([tag.in_stops(values[tag.name]) for tag in FOUR], axis=1)
    kept, constant = rankable(tags.astype(np.float32), FOUR, 1 / 6)
    assert [tag.name for tag in kept] == ["iso"]
    warn_of_constant_tags(constant)
    rest = "so that there is nothing to rank: its head is left out"
    assert capsys.readouterr().err.splitlines() == [
        f"f_number: 1.8 for all 2 training faces that have it, {rest}",
        f"exposure_time_s: no training face has it, {rest}",
        f"focal_length_mm: 4.25 to 4.3 for all 3 training faces that have it, {rest}",
    ]
    assert rankable(tags.astype(np.float32), FOUR, 0.0)[1].keys() == {"f_number", "exposure_time_s"}
    with pytest.raises(PipelineError, match=r"none can be ranked \(iso: 100 to 200 for all 3"):
        rankable(tags.astype(np.float32), FOUR, 1.5)


def test_weights_of_other_tags_are_refused():
    weights = dict.fromkeys(("iso", "f_number", "manipulation"), 1.0)
    check_weights(FOUR[:2], weights)
    with pytest.raises(PipelineError, match=r"the faces have iso: run filter_exif again"):
        check_weights(FOUR[:1], weights)
