//! Model that fills an empty shop with items. `migrations/` creates the tables.

use carya_guest::prelude::*;

const ITEMS: [(&str, i64, i64); 5] = [
    ("Pecans, roasted, 250 g", 690, 40),
    ("Pecan pie", 2450, 6),
    ("Hickory smoked salt", 480, 25),
    ("Nutcracker", 1990, 12),
    ("Shagbark seedling", 3500, 3),
];

#[carya_guest::init]
fn fill(db: &Writer) -> Result<(), DbError> {
    if db.fetch_optional::<i64>("SELECT 1 FROM items LIMIT 1", ())?.is_none() {
        db.execute_batch("INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?)", ITEMS)?;
    }
    Ok(())
}
