import pytest
from sqlalchemy.dialects import registry

for name, cls in (("sqlite", "Sqlite"), ("postgresql", "Postgresql"), ("mysql", "Mysql")):
    registry.register(f"{name}.remote", "remote", cls)
pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa
