"""Artificial manipulations of photographic faces: the pretext task's negatives."""
