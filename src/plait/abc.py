"""The ports: what plait asks of code that others may write."""

from plait._abc import JSON as JSON
from plait._abc import Backend as Backend
from plait._abc import Entry as Entry
from plait._abc import Journal as Journal
from plait._abc import Observer as Observer
from plait._abc import Opening as Opening
from plait._abc import Source as Source
from plait._abc import SourceContext as SourceContext
from plait._abc import SourceResult as SourceResult
from plait._abc import StreamInfo as StreamInfo
