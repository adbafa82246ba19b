"""Whose photographs the pretext task was learnt from, and under which licences."""
