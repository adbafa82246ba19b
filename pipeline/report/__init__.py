"""The page of all results, its figures and warnings, and the summary for the terminal."""
