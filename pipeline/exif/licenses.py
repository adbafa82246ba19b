"""Creative Commons licences of photographs, by the address that a face list gives."""

import re
from collections.abc import Sequence
from typing import Any

from pipeline.exif.tags import Rejection

_ADDRESS = re.compile(r"https?://(?:www\.)?creativecommons\.org/licenses/(by[a-z-]*)(?:/.*)?")


def license_of(url: str) -> str:
    """Name of a licence without its version: CC-BY-SA of .../licenses/by-sa/2.0/; "" of others."""
    match = _ADDRESS.fullmatch(url.strip().lower())
    return f"CC-{match[1].upper()}" if match else ""


def check_license(entry: dict[str, Any], licenses: Sequence[str]) -> None:
    """Raise Rejection unless a face is under one of the licences."""
    url = entry.get("license_url")
    if not isinstance(url, str) or not url.strip():
        raise Rejection("license_missing")
    if license_of(url) not in licenses:
        raise Rejection("license_other", url)
