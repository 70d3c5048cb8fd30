"""The ports: what plait asks of code that others may write."""

from plait._abc import Backend as Backend
from plait._abc import Entry as Entry
from plait._abc import Journal as Journal
from plait._abc import Observer as Observer
from plait._abc import Opening as Opening
from plait._abc import StreamInfo as StreamInfo
