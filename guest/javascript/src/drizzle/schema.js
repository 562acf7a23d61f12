import { createTableRelationsHelpers, extractTablesRelationalConfig } from 'drizzle-orm/relations';

// Returns the schema as the constructors of drizzle's databases take it.
export function relational(schema) {
  if (schema === undefined) return undefined;
  const { tables, tableNamesMap } = extractTablesRelationalConfig(schema, createTableRelationsHelpers);
  return { fullSchema: schema, schema: tables, tableNamesMap };
}
