"""The live page: watch runs in a browser while they go on, and those of a journal."""

from plait._web.app import app as app
from plait._web.page import LivePage as LivePage
from plait._web.server import CannotServe as CannotServe
from plait._web.server import serve as serve
