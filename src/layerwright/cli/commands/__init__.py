"""One command a file.

A module `NAME` here defines the function `NAME`, which is the command, and `PLACE`, its place in the help; perhaps
`EPILOG`, what the help shows below the options.
"""
