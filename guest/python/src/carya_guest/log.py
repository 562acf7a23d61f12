"""Messages in the log of the host, which adds the name of the component and the identifier of the request.

```python
from carya_guest import log

log.info("ticket %d was closed", ticket.id)
```

The standard library's `logging` writes to the same log.
"""

from __future__ import annotations

import sys

from . import raw

_Level = raw.log.Level


def trace(message: str, *arguments: object) -> None:
    """Writes a message of the level `trace`. Arguments replace `%s` and its relatives, as in `logging`."""
    _write(_Level.TRACE, message, arguments)


def debug(message: str, *arguments: object) -> None:
    """Writes a message of the level `debug`."""
    _write(_Level.DEBUG, message, arguments)


def info(message: str, *arguments: object) -> None:
    """Writes a message of the level `info`."""
    _write(_Level.INFO, message, arguments)


def warning(message: str, *arguments: object) -> None:
    """Writes a message of the level `warn`."""
    _write(_Level.WARN, message, arguments)


def error(message: str, *arguments: object) -> None:
    """Writes a message of the level `error`."""
    _write(_Level.ERROR, message, arguments)


def _write(level: raw.log.Level, message: str, arguments: tuple[object, ...]) -> None:
    text = message % arguments if arguments else message
    if raw.IS_COMPONENT:
        raw.log.write(level, text)
    else:
        print(f"{level.name}: {text}", file=sys.stderr)
