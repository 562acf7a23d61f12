"""The generated bindings of the contract, for everything that the library does not wrap.

In a component these are the modules that componentize-py generates for its world. Outside of a component, as in unit
tests, these are typed stand-ins whose functions raise `NotImplementedError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._bindings.componentize_py_types import Err as Err
    from ._bindings.exports import actions as actions
    from ._bindings.exports import on_route as on_route
    from ._bindings.imports import config as config
    from ._bindings.imports import context as context
    from ._bindings.imports import database as database
    from ._bindings.imports import identity as identity
    from ._bindings.imports import log as log
    from ._bindings.imports import request as request
    from ._bindings.imports import response as response
    from ._bindings.imports import types as types

    IS_COMPONENT: bool
else:
    try:
        from componentize_py_types import Err
        from wit_world.imports import config, context, database, identity, log, request, response, types

        IS_COMPONENT = True
    except ImportError:
        from ._bindings.componentize_py_types import Err
        from ._bindings.exports import actions, on_route
        from ._bindings.imports import config, context, database, identity, log, request, response, types

        IS_COMPONENT = False
    else:
        # Only a component that exports these interfaces has the modules.
        try:
            from wit_world.exports import on_route
        except ImportError:
            on_route = None
        try:
            from wit_world.exports import actions
        except ImportError:
            actions = None
