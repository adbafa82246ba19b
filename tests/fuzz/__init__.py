"""Coverage-guided fuzzing of every reader of files that come from elsewhere (make fuzz)."""
