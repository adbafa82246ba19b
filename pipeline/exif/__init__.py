"""EXIF tags as numbers with one unit each, and the records that carry them."""
