"""The ports: what plait asks of code that others may write."""

from plait._abc import Observer as Observer
