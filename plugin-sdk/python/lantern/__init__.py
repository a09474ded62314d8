"""Write Lantern plugins in Python: projections, command handlers and upcasters.

* :class:`Projection`: a read model as a fold of events; :class:`Db` and :class:`Table` are what it writes to,
  :class:`Command` is what a process manager sends.
* :class:`Aggregate`: decides commands, evolves by events; :class:`Rejection` is how the domain says no.
* :class:`Upcaster`: turns old events into events of today.
* :mod:`lantern.log`: messages for the plugin's log.
* :mod:`lantern.testing`: runs plugins in memory, so that unit tests need no WebAssembly.
"""

from . import log
from .aggregate import Aggregate, Context, Rejection
from .command import Command, Rejected
from .db import Db
from .errors import BadInput, Fault, LanternError, SqlError
from .event import Event
from .manifest import Envelope, Manifest, Query
from .projection import Projection
from .rows import Row
from .table import Table
from .upcaster import Upcaster

__version__ = "0.1.0"

__all__ = [
    "Aggregate",
    "BadInput",
    "Command",
    "Context",
    "Db",
    "Envelope",
    "Event",
    "Fault",
    "LanternError",
    "Manifest",
    "Projection",
    "Query",
    "Rejected",
    "Rejection",
    "Row",
    "SqlError",
    "Table",
    "Upcaster",
    "log",
]
