"""The detector's two files."""

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.calibration import detector
from pipeline.common import artifacts
from pipeline.density.mixture import Mixture

MIXTURE = Mixture(
    "spherical", np.zeros(2), np.ones(2), np.zeros((0, 2)), np.ones(1), np.zeros((1, 2)), np.ones(1)
)
RATES = {
    "at_1_percent": {"false_alarm_rate": 0.01, "threshold": 7},
    "at_5_percent": {"false_alarm_rate": 0.05, "threshold": 4.5},
}


def read(tmp_path, content):
    artifacts.write_npz(tmp_path / "gmm.npz", **MIXTURE.to_arrays())
    artifacts.write_json(tmp_path / "threshold.json", content)
    return detector.read(tmp_path / "gmm.npz", tmp_path / "threshold.json")


def test_what_was_written_is_read(tmp_path):
    found = read(
        tmp_path,
        {
            "rates": RATES,
            "review": "at_5_percent",
            "flag": "at_1_percent",
            "calibration_faces": 500,
        },
    )
    assert (
        found.thresholds == {"at_1_percent": 7.0, "at_5_percent": 4.5}
        and found.review == "at_5_percent"
    )
    assert found.mixture.anomaly_score(np.ones((3, 2))) == pytest.approx(
        MIXTURE.anomaly_score(np.ones((3, 2)))
    )


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"threshold": 1.0, "paper_protocol": {"threshold": 2.0}},
        {"rates": RATES},
        {"rates": RATES, "review": "at_10_percent", "flag": "at_1_percent"},
        {"rates": RATES, "review": "at_5_percent", "flag": "at_2_percent"},
        {
            "rates": {"at_5_percent": {"threshold": None}},
            "review": "at_5_percent",
            "flag": "at_5_percent",
        },
        {"rates": [1], "review": "at_5_percent"},
    ],
)
def test_another_file_is_named_with_the_remedy(tmp_path, content):
    with pytest.raises(
        PipelineError,
        match=r"threshold\.json: not the thresholds of calibrate.*run calibrate again",
    ):
        read(tmp_path, content)
