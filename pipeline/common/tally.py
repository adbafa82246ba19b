"""What is left out, counted by reason."""

from typing import Any


class Tally(dict[str, dict[str, Any]]):
    """What is left out, by reason: how many, the first name, and why it, where more is known."""

    def add(self, reason: str, name: str, cause: str = "") -> None:
        """Count a name; bytes of it that are not UTF-8 are escaped."""
        known = {"cause": plain(cause)} if cause else {}
        entry = self.setdefault(reason, {"count": 0, "first": plain(name), **known})
        entry["count"] += 1

    def join(self, other: "Tally") -> None:
        """Add what another one has counted, behind what this one has."""
        for reason, entry in other.items():
            own = self.setdefault(reason, {**entry, "count": 0})
            own["count"] += entry["count"]

    @property
    def counts(self) -> dict[str, int]:
        """How many for each reason."""
        return {reason: entry["count"] for reason, entry in self.items()}

    @property
    def firsts(self) -> dict[str, str]:
        """For each reason the first name, and its cause where one is known."""
        return {
            reason: ": ".join(entry[key] for key in ("first", "cause") if key in entry)
            for reason, entry in self.items()
        }

    @property
    def total(self) -> int:
        """How many over all reasons."""
        return sum(entry["count"] for entry in self.values())

    def __str__(self) -> str:
        firsts = self.firsts
        return ", ".join(
            f"{count:,} x {reason} (first: {firsts[reason]})"
            for reason, count in self.counts.items()
        )


def plain(text: str) -> str:
    """A text of elsewhere as one line that can be printed: what cannot, is escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
