"""Tables of scores as two runs of the pipeline leave them: the same faces, two detectors."""

import numpy as np
import pandas as pd


def table(
    run: int, *, generators=("ddpm", "sim_b"), people: int = 40, gain: float = 0.0
) -> pd.DataFrame:
    """Scores of two faces of each person; `run` makes the detector's own noise, `gain` how much
    better it detects.
    """
    frames = []
    for label, name in enumerate(["photographic_test", *generators]):
        rng, own = np.random.default_rng(label), np.random.default_rng([run, label])
        scores = np.repeat(rng.normal(size=people), 2) + 0.3 * rng.normal(size=2 * people)
        scores += 0.3 * own.normal(size=2 * people) + (label > 0) * (0.8 + 0.2 * label + gain)
        columns = {
            "set": name,
            "name": [f"{name}/{i}.png" for i in range(2 * people)],
            "person": [f"person{i // 2}" for i in range(2 * people)],
            "label": int(label > 0),
            "source_sha256": [f"{name} {i}" for i in range(2 * people)],
            "anomaly_score": scores,
            "p_value": 0.5,
            "verdict": "pass",
            "at_1_percent": scores > 2.2,
            "at_5_percent": scores > 1.5,
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)
