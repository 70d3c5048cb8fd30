"""All patterns: durable functions, each with one way to do several things at a time."""

from . import groups, nurseries  # noqa: F401 - each puts its own among them
from .making import PATTERNS as PATTERNS
from .making import Pattern as Pattern
