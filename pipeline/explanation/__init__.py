"""Why a face is flagged: deviating heads, nearest photographs, occlusion."""
