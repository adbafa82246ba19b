"""Everything drawn with matplotlib or Pillow: contact sheets, curves, histograms. No method lives here."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    column_titles: Sequence[str] | None,
    path: str | Path,
    row_titles: Sequence[str] | None = None,
    *,
    side: int = 112,
) -> None:
    """Write pictures (each uint8 (H, W, 3), any size) as a PNG grid with titles above columns and left of rows."""
    from PIL import Image, ImageDraw, ImageFont

    from pipeline.artifacts import atomic

    font = ImageFont.load_default(size=12)
    left = 8 + int(max((font.getlength(title) for title in row_titles), default=0)) if row_titles else 4
    top = 22 if column_titles else 4
    columns = max((len(row) for row in rows), default=0)
    sheet = Image.new("RGB", (left + columns * (side + 4), top + len(rows) * (side + 4)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(column_titles or ()):
        draw.text((left + column * (side + 4) + side / 2, top / 2), title, fill="black", font=font, anchor="mm")
    for row, title in enumerate(row_titles or ()):
        draw.text((4, top + row * (side + 4) + side / 2), title, fill="black", font=font, anchor="lm")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            tile = Image.fromarray(picture)
            tile.thumbnail((side, side), Image.Resampling.LANCZOS)
            sheet.paste(tile, (left + column * (side + 4), top + row * (side + 4)))
    with atomic(path) as temporary:
        sheet.save(temporary, "PNG", optimize=True)
