"""The one form in which videos from files are kept once they are prepared."""

from pyrovp.data.store.form import Prepared, PreparedSplit, open_prepared, split_hash
from pyrovp.data.store.lock import only_one
from pyrovp.data.store.part import Head, Part, Record
from pyrovp.data.store.sidecar import FORM
from pyrovp.data.store.verify import verify
from pyrovp.data.store.writer import begun, beside, finish, ordered, publish, tidy, unfinished

__all__ = [
    "FORM",
    "Head",
    "Part",
    "Prepared",
    "PreparedSplit",
    "Record",
    "begun",
    "beside",
    "finish",
    "only_one",
    "open_prepared",
    "ordered",
    "publish",
    "split_hash",
    "tidy",
    "unfinished",
    "verify",
]
