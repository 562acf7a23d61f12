"""The features whose tests run. They depend on the engine only, so that a native driver and carya run the same tests."""

from __future__ import annotations

from typing import Any

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

ALL = """
    aggregate_order_by boolean_col_expressions check_constraint_reflection computed_columns computed_columns_stored
    computed_columns_virtual create_or_replace_view create_table_as ctes ctes_with_values date_coerces_from_datetime
    date_historic date_implicit_bound datetime_historic datetime_implicit_bound datetime_microseconds
    dbapi_lastrowid except_ expression_server_defaults fk_constraint_option_reflection_ondelete_restrict
    fk_constraint_option_reflection_onupdate_restrict foreign_key_constraint_option_reflection_ondelete
    foreign_key_constraint_option_reflection_onupdate implicitly_named_constraints index_ddl_if_exists
    inline_check_constraint_reflection intersect json_type legacy_unconditional_json_extract nullsordering
    order_by_label_with_expression parens_in_union_contained_select_w_limit_offset
    parens_in_union_contained_select_wo_limit_offset precision_numerics_enotation_small reflect_table_options
    repeated_column_foreign_keys savepoints server_defaults sql_expression_limit_offset supports_bitwise_and
    supports_bitwise_not supports_bitwise_or supports_bitwise_shift supports_bitwise_xor table_ddl_if_exists
    time_implicit_bound time_microseconds timestamp_microseconds tuple_in unbounded_varchar unicode_ddl views
    window_functions window_range window_range_numeric
"""
OPEN = {
    "sqlite": """
        ctes_on_dml foreign_key_constraint_name_reflection mod_operator_as_percent_sign percent_schema_names
        reflects_pk_names update_from
    """,
    "postgresql": """
        array_type comment_reflection comment_reflection_full_unicode constraint_comment_reflection ctes_on_dml
        ctes_with_update_delete datetime_interval datetime_literals datetime_timezone deferrable_fks delete_from
        fetch_expression fetch_first fetch_no_order_by fetch_ties foreign_key_constraint_name_reflection
        identity_columns identity_columns_standard index_reflects_included_columns indexes_with_expressions
        infinity_floats materialized_views mod_operator_as_percent_sign percent_schema_names
        precision_numerics_many_significant_digits precision_numerics_retains_significant_digits
        reflect_indexes_with_expressions reflect_tables_no_columns reflects_pk_names regexp_match regexp_replace
        supports_distinct_on table_value_constructor time_timezone unique_constraints_reflect_as_index update_from
        uuid_data_type window_range_non_numeric
    """,
    "mysql": """
        comment_reflection delete_from foreign_key_constraint_name_reflection foreign_keys_reflect_as_index
        mod_operator_as_percent_sign percent_schema_names precision_numerics_many_significant_digits
        precision_numerics_retains_significant_digits regexp_match regexp_replace
        unique_constraints_reflect_as_index unique_index_reflect_as_unique_constraints update_from
    """,
}
CLOSED = {
    "sqlite": """
        create_or_replace_view implicitly_named_constraints parens_in_union_contained_select_w_limit_offset
        parens_in_union_contained_select_wo_limit_offset
    """,
    "postgresql": """
        computed_columns computed_columns_stored computed_columns_virtual dbapi_lastrowid
        legacy_unconditional_json_extract
    """,
    "mysql": """
        boolean_col_expressions check_constraint_reflection computed_columns_virtual create_table_as
        ctes_with_values date_coerces_from_datetime date_historic date_implicit_bound datetime_historic
        datetime_implicit_bound datetime_microseconds expression_server_defaults
        fk_constraint_option_reflection_ondelete_restrict fk_constraint_option_reflection_onupdate_restrict
        inline_check_constraint_reflection nullsordering repeated_column_foreign_keys sql_expression_limit_offset
        supports_bitwise_xor time_implicit_bound time_microseconds timestamp_microseconds unbounded_varchar
        window_range window_range_numeric
    """,
}
# Schemas besides the one of the application, and tables that only one connection sees.
NEVER = "schemas temporary_tables temp_table_reflection temp_table_names isolation_level two_phase_transactions"


def is_open(feature: str, dialect: str) -> bool:
    dialect = dialect.replace("mariadb", "mysql")
    if feature in f"{NEVER} {CLOSED[dialect]}".split():
        return False
    return feature in f"{ALL} {OPEN[dialect]}".split()


def _rule(feature: str) -> property:
    def rule(self: Any) -> Any:
        applies = lambda config: is_open(feature, config.db.dialect.name)  # noqa: E731
        return exclusions.only_if(applies, f"needs {feature}")  # type: ignore[no-untyped-call]

    return property(rule)


_NAMES = {name for names in (ALL, NEVER, *OPEN.values(), *CLOSED.values()) for name in names.split()}
Requirements = type("Requirements", (SuiteRequirements,), {name: _rule(name) for name in _NAMES})
