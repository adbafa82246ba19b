"""Names that tie the steps of the method together: tags, heads, face sets, columns of the faces
table.
"""

TAGS = ("iso", "f_number", "exposure_time_s", "focal_length_mm")  # of the paper
MANIPULATION = "manipulation"
HEADS = (*TAGS, MANIPULATION)  # of the paper; those of another encoder are in its file
PHOTOGRAPHIC = ("photographic_fit", "photographic_calibration", "photographic_test")
LANDMARKS = (
    "nose",
    "r_eye",
    "l_eye",
    "r_ear",
    "l_ear",
    "r_shoulder",
    "l_shoulder",
)  # FDF's seven, in its order
LANDMARK_COLUMNS = tuple(f"{name}_{axis}" for name in LANDMARKS for axis in "xy")
BOX_COLUMNS = ("box_x0", "box_y0", "box_x1", "box_y1")
