"""Recurrent cells: memories of vectors and of maps, and what they start from."""

from pyrovp.cells.cell import Cell, Memory
from pyrovp.cells.conv_lstm import ConvLSTM, NormedConvLSTM
from pyrovp.cells.conv_lstm_cell import ConvLSTMCell
from pyrovp.cells.gru import GRU, GRUCell
from pyrovp.cells.lstm import LSTM, LSTMCell
from pyrovp.cells.start import FromContext, Learned, Start, Zeros

__all__ = [
    "GRU",
    "LSTM",
    "Cell",
    "ConvLSTM",
    "ConvLSTMCell",
    "FromContext",
    "GRUCell",
    "LSTMCell",
    "Learned",
    "Memory",
    "NormedConvLSTM",
    "Start",
    "Zeros",
]
