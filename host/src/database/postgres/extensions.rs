//! Volatile functions of extensions, which guests must not call.

use crate::gate::{ExtensionFunction, HARMLESS_EXTENSIONS};

/// Returns a query for the volatile functions of all extensions except [`HARMLESS_EXTENSIONS`]. A function with an
/// effect that no rollback undoes is volatile. The answer has one line for each function, with these fields separated
/// by tabs: schema, name, extension, and whether the first argument may be a row.
pub(super) fn question() -> String {
    format!(
        "SELECT string_agg(DISTINCT concat_ws(E'\\t', n.nspname, p.proname, e.extname,
            coalesce(p.proargtypes[0] = 'record'::regtype OR t.typtype = 'c' OR t.typname ~ '^any', false)), E'\\n')
        FROM pg_catalog.pg_extension e
            JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
                AND d.classid = 'pg_catalog.pg_proc'::regclass AND d.deptype = 'e'
            JOIN pg_catalog.pg_proc p ON p.oid = d.objid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            LEFT JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
        WHERE p.provolatile = 'v' AND e.extname NOT IN ({HARMLESS_EXTENSIONS})"
    )
}

/// Parses the answer of [`question`]. Leaves out the functions that the configuration allows as `schema.name`. Such a
/// name allows all overloads of the function.
pub(super) fn forbidden<'a>(
    answer: &'a str,
    allowed: &'a [String],
) -> impl Iterator<Item = (String, ExtensionFunction)> + 'a {
    let function = |line: &str| {
        let mut parts = line.split('\t');
        let (schema, name, extension) = (parts.next()?, parts.next()?, parts.next()?);
        let function = ExtensionFunction {
            full_name: format!("{schema}.{name}"),
            extension: extension.to_owned(),
            takes_row: parts.next() == Some("t"),
        };
        Some((name.to_lowercase(), function))
    };
    answer.lines().filter_map(function).filter(|(_, function)| !allowed.contains(&function.full_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_forbidden_unless_they_are_allowed() {
        let answer = "public\theap_force_kill\tpg_surgery\tf\next\tStrange\tother\tt\next\tnormal_rand\ttablefunc\tf";
        let allowed = ["ext.normal_rand".to_owned(), "public.strange".to_owned()];
        let found: Vec<_> = forbidden(answer, &allowed)
            .map(|(name, function)| {
                format!("{name}: {} {} {}", function.full_name, function.extension, function.takes_row)
            })
            .collect();
        assert_eq!(
            found,
            ["heap_force_kill: public.heap_force_kill pg_surgery false", "strange: ext.Strange other true"]
        );
        assert_eq!(forbidden("", &allowed).count(), 0);
    }
}
