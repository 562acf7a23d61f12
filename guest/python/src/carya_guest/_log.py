"""The standard library's `logging`, with the log of the host as its destination."""

from __future__ import annotations

import logging

from . import log


class Handler(logging.Handler):
    """Handler that writes records to the log of the host. A record with an exception has its message and traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write = next(write for level, write in _LEVELS if record.levelno >= level)
            write("%s: %s", record.name, self.format(record))
        except Exception:
            self.handleError(record)


_LEVELS = (
    (logging.ERROR, log.error),
    (logging.WARNING, log.warning),
    (logging.INFO, log.info),
    (logging.DEBUG, log.debug),
    (0, log.trace),
)


def add_handler() -> None:
    """Sends the records of all loggers to the host, unless the guest has configured `logging` itself."""
    if not logging.root.handlers:
        logging.root.addHandler(Handler())
        # The host decides which levels are written.
        logging.root.setLevel(logging.INFO)
