"""What Data Mirror's documents say about declared datasets, as a small program of its own: all features at once, none of the C code.

  kinds.py      types: random texts of them, and what a text means
  state.py      columns, datasets, rows, tombstones, histories, quarantine, counters: plain data
  rules.py      what a change, a replay, a deletion, an expiry does to that state
  evolve.py     what a new declaration does to it, and its YAML
  draw.py       commands from a seed
  world.py      the same commands given to the program, by every way in, with kills
  compare.py    the program's lake, read by PyIceberg, beside the state
  shrink.py     the shortest list of commands that still fails
  switches.py   rules that are being mended: commands that meet them are not drawn
"""
