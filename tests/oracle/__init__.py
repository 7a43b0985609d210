"""The independent oracle: it reads the source by SQL and the lake by PyIceberg, and compares every value.

Nothing here shares code or assumptions with the program under test. Modules:
  process   child processes that end with the test, bounded polling
  postgres  a throw-away PostgreSQL server, and reading its tables as canonical values
  sqlite    the same for a SQLite file
  mirror    mirror.yaml, starting, stopping and killing the program
  lake      the catalog pointers and the rows of every dataset
  compare   differences between the two, by key and column
  traffic   random work for PostgreSQL;  pause.py  the gate that stops all writers between transactions
  proxy     a TCP proxy that cuts connections
"""
