"""The half of zq-worker that is in C, under its name; it is nowhere else. Private."""

import importlib

bridge = importlib.import_module("_zq")
