"""One command a file. A module here named `check` defines the function `check`, which becomes the command."""
