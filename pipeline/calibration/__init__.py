"""Thresholds for chosen false alarm rates, how sure these rates are, and verdicts on faces."""
