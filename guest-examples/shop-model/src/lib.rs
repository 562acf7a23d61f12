//! Model that fills an empty shop with items. `migrations/` creates the tables.

use carya::host::database::{DbError, Value, Writer};
use exports::carya::host::model::Guest;

wit_bindgen::generate!({
    inline: "
        package shop:model;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/model@0.2.0;
        }
    ",
    path: "../../wit",
    generate_all,
});

const ITEMS: [(&str, i64, i64); 5] = [
    ("Pecans, roasted, 250 g", 690, 40),
    ("Pecan pie", 2450, 6),
    ("Hickory smoked salt", 480, 25),
    ("Nutcracker", 1990, 12),
    ("Shagbark seedling", 3500, 3),
];

struct Model;
export!(Model);

impl Guest for Model {
    fn init(db: Writer) -> Result<(), String> {
        if db.query_one("SELECT 1 FROM items LIMIT 1", &[])?.is_some() {
            return Ok(());
        }
        let items = ITEMS.map(|(name, price_cents, stock)| {
            vec![Value::Text(name.to_owned()), Value::Int64(price_cents), Value::Int64(stock)]
        });
        db.execute_batch("INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?)", &items)?;
        Ok(())
    }
}

impl From<DbError> for String {
    fn from(error: DbError) -> Self {
        error.message
    }
}
