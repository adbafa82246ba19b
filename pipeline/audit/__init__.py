"""What could fake the result: controls, confounds of file formats, robustness to perturbations."""
