"""Write controllers and hooks for carya as plain Python functions.

The package contains the bindings of the contract `carya:host`. `python -m carya_guest build MODULE -o out.wasm` builds a
component from a module.
"""

from . import _json
from . import log as log
from . import raw as raw
from ._actions import Attempt as Attempt
from ._actions import action as action
from ._context import context as context
from ._context import set_context as set_context
from ._context import setting as setting
from ._context import setting_text as setting_text
from ._convert import deny_unknown_fields as deny_unknown_fields
from ._cookies import Cookies as Cookies
from ._cookies import SetCookie as SetCookie
from ._database import Db as Db
from ._database import Handle as Handle
from ._database import Reader as Reader
from ._database import Writer as Writer
from ._declare import after as after
from ._declare import before as before
from ._declare import delete as delete
from ._declare import get as get
from ._declare import head as head
from ._declare import init as init
from ._declare import on_error as on_error
from ._declare import on_route as on_route
from ._declare import options as options
from ._declare import patch as patch
from ._declare import post as post
from ._declare import put as put
from ._declare import route as route
from ._errors import DbError as DbError
from ._errors import HostError as HostError
from ._errors import on_violation as on_violation
from ._problem import Checks as Checks
from ._problem import Problem as Problem
from ._registry import DeclarationError as DeclarationError
from ._replies import Reply as Reply
from ._requests import File as File
from ._requests import Identity as Identity
from ._requests import Multipart as Multipart
from ._requests import Request as Request
from ._responses import Created as Created
from ._responses import ETag as ETag
from ._responses import Flash as Flash
from ._responses import IfMatch as IfMatch
from ._responses import JsonText as JsonText
from ._responses import NoContent as NoContent
from ._responses import Redirect as Redirect
from ._responses import Response as Response
from ._responses import Rows as Rows
from ._responses import Tagged as Tagged
from ._responses import Template as Template
from ._signature import Body as Body
from ._signature import Form as Form
from ._signature import Json as Json
from ._signature import Query as Query

parse_json = _json.loads
DbErrorKind = raw.database.DbErrorKind
Delivery = raw.database.Delivery
Dialect = raw.database.Dialect
Execution = raw.database.Execution
OtherValue = raw.database.OtherValue
StatementResult = raw.database.StatementResult
Violation = raw.database.Violation
ViolationKind = raw.database.ViolationKind
AccessMode = raw.types.AccessMode
Failure = raw.types.Failure
Fault = raw.types.Fault
