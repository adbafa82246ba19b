"""What several steps share and what can change a result: keyed randomness, file formats, names,
devices.
"""
