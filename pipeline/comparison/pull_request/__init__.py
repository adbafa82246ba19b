"""What a pull request changes: the committed results of its branch against the merge base."""
