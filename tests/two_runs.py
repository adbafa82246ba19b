"""Tables of scores as two runs of the pipeline leave them: the same faces, seen by two detectors."""

import numpy as np
import pandas as pd

PARAMS = "seed: 3\nbootstrap: {resamples: 150}\n"


def table(
    run: int, *, generators=("ddpm", "sim_b"), people: int = 40, gain: float = 0.0
) -> pd.DataFrame:
    """Scores of two faces of each person; `run` makes the detector's own noise, `gain` how much
    better it detects.
    """
    frames = []
    for label, name in enumerate(["photographic_test", *generators]):
        rng = np.random.default_rng(label)
        own = np.random.default_rng([run, label])
        scores = (
            np.repeat(rng.normal(size=people), 2)
            + 0.3 * rng.normal(size=2 * people)
            + 0.3 * own.normal(size=2 * people)
        )
        scores += (label > 0) * (0.8 + 0.2 * label + gain)
        frames.append(
            pd.DataFrame(
                {
                    "set": name,
                    "name": [f"{name}/{i}.png" for i in range(2 * people)],
                    "group": [f"person{i // 2}" for i in range(2 * people)],
                    "label": int(label > 0),
                    "source_sha256": [f"{name} {i}" for i in range(2 * people)],
                    "anomaly_score": scores,
                    "p_value": 0.5,
                    "verdict": "pass",
                    "at_1_percent": scores > 2.2,
                    "at_5_percent": scores > 1.5,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
