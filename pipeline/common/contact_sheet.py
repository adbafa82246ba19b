"""Contact sheets of pictures, drawn with Pillow. The figures of the report are in figures.py, so
that a new curve there does not make DVC run the stages anew that draw a contact sheet."""

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
    enlarge: bool = False,
) -> None:
    """Write pictures (each uint8 (H, W, 3), any size) as a PNG grid, each fitted into its cell,
    with titles above and left.

    A row's title may have several lines. Smaller pictures stay as they are, or are enlarged to
    their cell."""
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    from pipeline.common.artifacts import atomic

    font = ImageFont.load_default(size=12)
    lines = [line for title in row_titles or () for line in title.split("\n")]
    left = 8 + int(max(map(font.getlength, lines))) if lines else 4
    top = 22 if column_titles else 4
    columns = max((len(row) for row in rows), default=0)
    sheet = Image.new("RGB", (left + columns * (side + 4), top + len(rows) * (side + 4)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(column_titles or ()):
        draw.text(
            (left + column * (side + 4) + side / 2, top / 2),
            title,
            fill="black",
            font=font,
            anchor="mm",
        )
    for row, title in enumerate(row_titles or ()):
        draw.text(
            (4, top + row * (side + 4) + side / 2), title, fill="black", font=font, anchor="lm"
        )
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            tile = Image.fromarray(picture)
            if enlarge:
                tile = ImageOps.contain(tile, (side, side), Image.Resampling.LANCZOS)
            else:
                tile.thumbnail((side, side), Image.Resampling.LANCZOS)
            x, y = left + column * (side + 4), top + row * (side + 4)
            sheet.paste(tile, (x + (side - tile.width) // 2, y + (side - tile.height) // 2))
    with atomic(path) as temporary:
        sheet.save(temporary, "PNG", optimize=True)
