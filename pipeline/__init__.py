"""Detect AI-generated faces as anomalies of a density learnt from photographic faces alone."""
