"""What is left out, counted by reason."""

from typing import Any


class Tally(dict[str, dict[str, Any]]):
    """What is left out, by reason: how many, the first name, and why it, where more is known."""

    def add(self, reason: str, name: str, cause: str = "") -> None:
        """Count a name; bytes of it that are not UTF-8 are escaped."""
        known = {"cause": plain(cause)} if cause else {}
        entry = self.setdefault(reason, {"count": 0, "first": plain(name), **known})
        entry["count"] += 1

    @property
    def total(self) -> int:
        """How many over all reasons."""
        return sum(entry["count"] for entry in self.values())

    def __str__(self) -> str:
        texts = []
        for reason, entry in self.items():
            cause = f": {entry['cause']}" if "cause" in entry else ""
            texts.append(f"{entry['count']:,} x {reason} (first: {entry['first']}{cause})")
        return ", ".join(texts)


def plain(text: str) -> str:
    """A text of elsewhere as one line that can be printed: what cannot, is escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
