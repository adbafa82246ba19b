"""Parameters, errors, the terminal, processes, atomic writing: nothing in here can change a result."""
