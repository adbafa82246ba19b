"""Two runs on the same faces: which differences exceed chance."""
