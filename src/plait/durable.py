"""Runs that survive the process: where their records are kept.

Imported by itself (`import plait.durable`), since it loads SQLite.
"""

from plait._journal.memory import MemoryJournal as MemoryJournal
from plait._journal.sqlite import SqliteJournal as SqliteJournal
