"""All targets by name."""

from tests.fuzz import files, pictures, records, weights
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    **records.TARGETS,
    **pictures.TARGETS,
    **files.TARGETS,
    **weights.TARGETS,
}
