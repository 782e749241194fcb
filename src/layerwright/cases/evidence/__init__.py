"""What says how a layer is constructed and called: one source of evidence a file.

A source is a module with `PLACE`, its rank among the sources (the smaller, the more it is believed), and `evidence`,
which takes a `Subject` and yields what it knows: `Use`, `Facts` and `Values`. A new source is one new file.
"""
