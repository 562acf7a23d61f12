// Controller for a list of notes: GET /notes reads the list, POST /notes adds the request's text.

import { Problem, json, router, rows } from 'carya-guest';

// The host runs the query and sends its rows to the client; the guest does not receive them.
router.get('/notes', () => rows.json('SELECT id, text, written_at FROM notes ORDER BY id DESC LIMIT 100'));

// The host runs this function in one transaction. It commits the transaction after a 2xx or 3xx response, and rolls it back
// otherwise. In a function for GET, `db` has no functions that write.
router.post('/notes', (req, db) => {
  const text = req.text();
  if (text.trim() === '') throw Problem.unprocessable('a note needs a text');
  const note = db.oneJson('INSERT INTO notes (text) VALUES (?) RETURNING id, text, written_at', [text]);
  return json(note, 201);
});
