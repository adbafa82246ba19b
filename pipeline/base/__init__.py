"""Parameters, errors, the terminal, processes, atomic writing: nothing here can change a result."""
