"""What faces.json and the pictures say about an explained face."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SHORT = {
    "iso": "ISO",
    "f_number": "f-number",
    "exposure_time_s": "exposure",
    "focal_length_mm": "focal length",
    "manipulation": "manipulation",
}


def explanation(
    z: Mapping[str, float], neighbours: Sequence[tuple[str, float]], covered: tuple[float, str]
) -> dict[str, Any]:
    """What explains a face, rounded to 3 decimals; null where nothing can be computed.

    z: by head, NaN = not computable; a large one says that the face claims camera settings that
    photographs of this domain hardly have, not that the settings are wrong. neighbours: names and
    distances (standard deviations). covered: largest drop (nats) and where."""
    known = {head: value for head, value in z.items() if np.isfinite(value)}
    return {
        "head_z": {head: round(float(known[head]), 3) if head in known else None for head in z},
        "deviating_head": deviating_head(z),
        "nearest": [
            {"name": name, "distance": round(float(distance), 3)} for name, distance in neighbours
        ],
        "covered": {"largest_drop": round(covered[0], 3), "where": covered[1]},
    }


def deviating_head(z: Mapping[str, float]) -> str | None:
    """The head whose z-score is largest, above or below; None where none is known (NaN)."""
    known = {head: abs(value) for head, value in z.items() if np.isfinite(value)}
    return max(known, key=known.__getitem__, default=None)


def title(head: str) -> str:
    """What a head is called beside pictures."""
    return SHORT.get(head, head.replace("_", " "))


def row_title(face: Mapping[str, Any]) -> str:
    """What stands beside the pictures of an entry: four short lines."""
    head, where = face["deviating_head"], face["covered"]["where"]
    z = "no head varies" if head is None else f"{title(head)}: {face['head_z'][head]:+.1f} sd"
    drop = f"{where}: {-face['covered']['largest_drop']:.1f} nats"
    drop = "no part" if where == "nowhere" else drop
    off = face["verdict"] != "pass" and face["side"] == "too typical"
    return f"{face['verdict']}{', too typical' * off}\np = {face['p_value']:.2g}\n{z}\n{drop}"
