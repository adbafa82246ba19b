"""Names of perturbations, `<kind>_<strength>`, as params.yaml lists them; apart from what they do,
so that a change of that reruns what perturbs, not everything that reads params.yaml."""

import re

CLEAN = "none"  # the history of a picture that nothing has happened to

# Kind, range of its strength (ends included), and what the strength is.
KINDS = {
    "jpeg": (1, 100, "quality"),
    "double_jpeg": (1, 100, "quality of the first of two compressions"),
    "webp": (1, 100, "quality"),
    "resize": (0.05, 4, "share of each side, before it is brought back to its size"),
    "crop": (0.1, 1, "share of each side, kept around the middle"),
    "blur": (0.1, 50, "sigma in pixels"),
    "noise": (0.1, 100, "sigma in grey levels"),
}
WHOLE = {"jpeg", "double_jpeg", "webp"}


def parse(name: str) -> tuple[str, float]:
    """Kind and strength of a perturbation. ValueError with the known kinds, or the range of the
    kind's strength.
    """
    match = re.fullmatch(r"([a-z_]+)_([0-9]+(?:\.[0-9]+)?)", name)
    if match is None or match[1] not in KINDS:
        raise ValueError(
            f"unknown perturbation; write <kind>_<strength> with a kind of {', '.join(KINDS)}"
        )
    kind, strength = match[1], float(match[2])
    low, high, meaning = KINDS[kind]
    if not low <= strength <= high or (kind in WHOLE and strength != int(strength)):
        raise ValueError(
            f"{kind} needs a {'whole number' if kind in WHOLE else 'number'} from {low} to {high}: "
            f"{meaning}"
        )
    if name != (canonical := f"{kind}_{strength:g}"):
        raise ValueError(f"write {canonical}, so that no perturbation is listed twice")
    return kind, strength
