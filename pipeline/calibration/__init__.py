"""Thresholds with a false alarm rate that holds, and the verdict on a face."""
