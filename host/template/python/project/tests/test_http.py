"""Tests of the application over HTTP. `make test` runs them by `carya test`, which serves the application on throw-away
databases."""

import unittest

from carya_guest.testing import App


class Notes(unittest.TestCase):
    app: App

    @classmethod
    def setUpClass(cls) -> None:
        # A database of its own, so that several classes can run in parallel.
        cls.app = App()

    def setUp(self) -> None:
        self.app.reset()

    def test_lists_notes(self) -> None:
        self.app.sql("INSERT INTO notes (text) VALUES (?)", ("Pecans",))
        answer = self.app.get("/notes")
        self.assertEqual((answer.status, answer.json()[0]["text"]), (200, "Pecans"))

    def test_adds_a_note(self) -> None:
        self.assertEqual(self.app.post("/notes", "Pecans").status, 201)
        self.assertEqual(self.app.sql("SELECT text FROM notes"), [{"text": "Pecans"}])

    def test_a_refused_note_leaves_no_row(self) -> None:
        self.assertEqual(self.app.post("/notes", " ").status, 422)
        self.assertEqual(self.app.sql("SELECT text FROM notes"), [])
