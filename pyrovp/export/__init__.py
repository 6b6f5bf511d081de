"""A trained model in files that others can read: `python -m pyrovp.export RUN`."""

from pyrovp.export.prediction import Predictor, predictor
from pyrovp.export.program import Program, exported_program, save_program
from pyrovp.runs.exported import About, check_about, is_exported, read_about, write_folder
from pyrovp.runs.weights_file import load_weights, save_weights

__all__ = [
    "About",
    "Predictor",
    "Program",
    "check_about",
    "exported_program",
    "is_exported",
    "load_weights",
    "predictor",
    "read_about",
    "save_program",
    "save_weights",
    "write_folder",
]
