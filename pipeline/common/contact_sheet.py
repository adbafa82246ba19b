"""Contact sheets: pictures in rows, drawn with Pillow."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.base.atomic import atomic


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

    font = ImageFont.load_default(size=12)
    lines = [line for title in row_titles or () for line in title.split("\n")]
    left = 8 + int(max(map(font.getlength, lines))) if lines else 4
    top = 22 if column_titles else 4
    step = side + 4
    columns = max((len(row) for row in rows), default=0)
    sheet = Image.new("RGB", (left + columns * step, top + len(rows) * step), "white")
    text = functools.partial(ImageDraw.Draw(sheet).text, fill="black", font=font)
    for column, title in enumerate(column_titles or ()):
        text((left + column * step + side / 2, top / 2), title, anchor="mm")
    for row, title in enumerate(row_titles or ()):
        text((4, top + row * step + side / 2), title, anchor="lm")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            tile = Image.fromarray(picture)
            if enlarge:
                tile = ImageOps.contain(tile, (side, side), Image.Resampling.LANCZOS)
            else:
                tile.thumbnail((side, side), Image.Resampling.LANCZOS)
            x, y = left + column * step, top + row * step
            sheet.paste(tile, (x + (side - tile.width) // 2, y + (side - tile.height) // 2))
    with atomic(path) as temporary:
        sheet.save(temporary, "PNG", optimize=True)
