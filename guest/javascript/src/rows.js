// Returns the rows of `Reader.run` as objects with the names of the columns.
export function objects({ columns, rows }) {
  return rows.map((values) => Object.fromEntries(values.map((value, index) => [columns[index].name, value])));
}
