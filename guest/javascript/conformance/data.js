// The rows that every case finds.

const TABLES = ['book_tags', 'books', 'samples', 'authors'];

// Deletes all rows. The next generated key of a table is 1.
const EMPTY = {
  sqlite: TABLES.map((table) => `DELETE FROM ${table}`),
  postgresql: [`TRUNCATE ${TABLES.join(', ')} RESTART IDENTITY`],
  mysql: ['SET foreign_key_checks = 0', ...TABLES.map((table) => `TRUNCATE ${table}`), 'SET foreign_key_checks = 1'],
};

const SAMPLES = {
  sqlite: `INSERT INTO samples (big, exact, approximate, flag, words, raw, day, moment, document) VALUES
    (4611686018427, 1.25, 0.1, 1, 'Größe 🌰', x'00ff10', '2026-02-28', 1772282096789, '{"a":[1,null,"é"]}')`,
  postgresql: `INSERT INTO samples (big, exact, approximate, flag, words, raw, day, moment, document, zoned, clock, key, numbers, labels)
    VALUES (4611686018427, 12345678901234567890.1250, 0.1, TRUE, 'Größe 🌰', '\\x00ff10', '2026-02-28', '2026-02-28 12:34:56.789',
      '{"a":[1,null,"é"]}', '2026-02-28 12:34:56+00', '12:34:56', '6f1ed002-ab59-4c1f-8d5c-0d9c1b0a1f11', '{1,NULL,-3}', '{a,"b,c","d\\"e"}')`,
  mysql: `INSERT INTO samples (big, exact, approximate, flag, words, raw, day, moment, document, zoned, clock) VALUES
    (4611686018427, 12345678901234567890.1250, 0.1, TRUE, 'Größe 🌰', x'00ff10', '2026-02-28', '2026-02-28 12:34:56.789',
      '{"a":[1,null,"é"]}', '2026-02-28 12:34:56', '12:34:56')`,
};

// Returns the statements that restore the rows.
export function resetStatements(dialect) {
  return [
    ...EMPTY[dialect],
    `INSERT INTO authors (name, email, country) VALUES
      ('Ada', 'ada@example.org', 'UK'), ('Bo', NULL, 'SE'), ('Chloé', NULL, 'FR'), ('Dmitri', 'dmitri@example.org', 'UK')`,
    `INSERT INTO books (author_id, title, pages, price, rating) VALUES
      (1, 'Pecan', 120, 12.50, 4.5), (1, 'Walnut', 80, 9.99, NULL), (2, 'Hazel_nut 50%', 300, 20.00, 3.25),
      (3, 'Орех 🌰', 45, 5.00, NULL), (2, 'Almond', 210, 15.75, 4)`,
    `INSERT INTO book_tags (book_id, tag) VALUES (1, 'nut'), (1, 'cook'), (2, 'nut'), (3, 'nut'), (4, 'rare')`,
    SAMPLES[dialect],
  ];
}
