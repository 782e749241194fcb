"""Where the records of a watched run go, one sink a file; those with `for_folder` serve folders given to `Watch`."""
