//! Connection of SeaORM to the database of a request.
//!
//! SeaORM connects to other databases by its trait `ProxyDatabaseTrait`. The functions of this trait for transactions
//! return nothing, so a failed savepoint would be lost. [`Orm`] implements `ConnectionTrait` and `TransactionTrait` instead.
//! SeaORM only accepts rows of a proxy, which have two traps:
//!
//! - A field reads one variant of [`Value`]. If the value has another variant, a field of the type `Option` is `None`,
//!   without an error: for example `Option<i32>`, because integers of the host are `i64`. [`Columns`] detects this for
//!   the fields of models, but not for other structs that implement `FromQueryResult`.
//! - A row is a map, sorted by the names of its columns. Access by position reads a wrong column. So use no
//!   `into_tuple` with more than one column.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use carya_guest::{Db, DbError, Dialect, OtherValue, StatementResult, ToValue, Value as HostValue, Violation, Writer};
use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sea_orm::{
    AccessMode, ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, ExecResult, IdenStatic,
    IsolationLevel, Iterable, ProxyExecResult, ProxyRow, QueryResult, Statement, TransactionError, TransactionOptions,
    TransactionSession, TransactionTrait, Value,
};

/// Connection to the database of a request, or a transaction in it, which is a savepoint in the host's transaction.
/// Dropping an open transaction rolls it back.
pub struct Orm<'a, D: Db> {
    db: &'a D,
    columns: &'a Columns,
    /// Number of this transaction and those around it, or 0 for the connection.
    depth: usize,
    /// Whether this is a transaction that was neither committed nor rolled back.
    is_open: bool,
}

impl<'a, D: Db> Orm<'a, D> {
    pub fn new(db: &'a D, columns: &'a Columns) -> Self {
        Self { db, columns, depth: 0, is_open: false }
    }

    fn run(&self, sql: &str, params: &[HostValue]) -> Result<StatementResult, DbErr> {
        // The only variant that can contain an error of another crate, which `violation` needs.
        self.db.run(sql, params).map_err(|error| DbErr::TryIntoErr {
            from: "statement",
            into: "result",
            source: Arc::new(error),
        })
    }

    fn run_statement(&self, statement: Statement) -> Result<StatementResult, DbErr> {
        let values = statement.values.into_iter().flat_map(|values| values.0);
        let params: Result<Vec<_>, _> = values.map(parameter).collect();
        self.run(&statement.sql, &params?)
    }

    /// Returns the name of the savepoint. A name for each depth lets the host reject a transaction that ends after the one
    /// around it.
    fn name(&self) -> String {
        format!("sea_orm_{}", self.depth)
    }

    fn roll_back(&mut self) -> Result<(), DbErr> {
        self.is_open = false;
        let name = self.name();
        self.run(&format!("ROLLBACK TO {name}"), &[])?;
        // The host limits the number of open savepoints.
        self.run(&format!("RELEASE {name}"), &[])?;
        Ok(())
    }
}

/// Returns the constraint that a failed statement violated. `DbErr::sql_err` only knows errors of SeaORM's own drivers.
pub fn violation(error: &DbErr) -> Option<&Violation> {
    let DbErr::TryIntoErr { source, .. } = error else { return None };
    source.downcast_ref::<DbError>()?.constraint.as_ref()
}

impl<D: Db> Drop for Orm<'_, D> {
    fn drop(&mut self) {
        if self.is_open {
            // A failure dooms the transaction of the request, so the host rolls it back.
            let _ = self.roll_back();
        }
    }
}

impl<D: Db> ConnectionTrait for Orm<'_, D> {
    fn get_database_backend(&self) -> DbBackend {
        match self.db.dialect() {
            Dialect::Sqlite => DbBackend::Sqlite,
            Dialect::Postgresql => DbBackend::Postgres,
            Dialect::Mysql => DbBackend::MySql,
        }
    }

    fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run_statement(statement).map(execution)
    }

    fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(sql, &[]).map(execution)
    }

    fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement)?.into_iter().next())
    }

    fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let StatementResult { columns, rows, .. } = self.run_statement(statement)?;
        let names: Vec<_> = columns.into_iter().map(|column| column.name).collect();
        rows.into_iter().map(|row| self.columns.row(&names, row)).collect()
    }
}

impl TransactionTrait for Orm<'_, Writer> {
    type Transaction = Self;

    fn begin(&self) -> Result<Self, DbErr> {
        let mut inner = Self { depth: self.depth + 1, is_open: false, ..*self };
        inner.run(&format!("SAVEPOINT {}", inner.name()), &[])?;
        inner.is_open = true;
        Ok(inner)
    }

    fn begin_with_config(&self, level: Option<IsolationLevel>, access: Option<AccessMode>) -> Result<Self, DbErr> {
        let options = TransactionOptions { isolation_level: level, access_mode: access, ..Default::default() };
        self.begin_with_options(options)
    }

    fn begin_with_options(&self, options: TransactionOptions) -> Result<Self, DbErr> {
        if options != TransactionOptions::default() {
            return Err(DbErr::Custom("a transaction cannot have options: the host began it already".to_owned()));
        }
        self.begin()
    }

    fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Result<T, E>,
        E: std::fmt::Display + std::fmt::Debug,
    {
        self.transaction_with_config(callback, None, None)
    }

    fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        level: Option<IsolationLevel>,
        access: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Result<T, E>,
        E: std::fmt::Display + std::fmt::Debug,
    {
        let inner = self.begin_with_config(level, access)?;
        match callback(&inner) {
            Ok(value) => {
                inner.commit()?;
                Ok(value)
            }
            Err(error) => {
                inner.rollback()?;
                Err(TransactionError::Transaction(error))
            }
        }
    }
}

impl TransactionSession for Orm<'_, Writer> {
    fn commit(mut self) -> Result<(), DbErr> {
        self.is_open = false;
        self.run(&format!("RELEASE {}", self.name()), &[])?;
        Ok(())
    }

    fn rollback(mut self) -> Result<(), DbErr> {
        self.roll_back()
    }
}

/// The types of all fields of models, by the names of their columns.
#[derive(Default)]
pub struct Columns(HashMap<String, Value>);

impl Columns {
    /// Adds the columns of a model.
    ///
    /// # Panics
    ///
    /// Panics if two models have a column with this name and different types, because a row does not contain the tables of
    /// its columns.
    pub fn with<E: EntityTrait>(mut self) -> Self {
        let defaults = E::ActiveModel::default_values();
        for column in E::Column::iter() {
            // A field without a default is not an `Option`, so that a wrong type is an error in any case.
            let Some(value) = defaults.get(column).into_value() else { continue };
            let name = column.as_str();
            let null = value.as_null();
            let other = self.0.insert(name.to_owned(), null.clone());
            assert!(other.is_none_or(|other| other == null), "column `{name}` must have the same type in all models");
        }
        self
    }

    fn row(&self, names: &[String], values: Vec<HostValue>) -> Result<QueryResult, DbErr> {
        let mut row = BTreeMap::new();
        for (name, value) in names.iter().zip(values) {
            if row.insert(name.clone(), self.value(name, value)?).is_some() {
                return Err(DbErr::Type(format!("two columns have the name `{name}`; rename one with AS")));
            }
        }
        Ok(ProxyRow::new(row).into())
    }

    /// Returns the value of a column, with the type of the model's field.
    fn value(&self, name: &str, value: HostValue) -> Result<Value, DbErr> {
        let value = match value {
            // A field reads a null of any type as NULL.
            HostValue::Null => return Ok(Value::String(None)),
            HostValue::Boolean(value) => value.into(),
            HostValue::Int64(value) => value.into(),
            HostValue::Float64(value) => value.into(),
            HostValue::Text(text) | HostValue::Other(OtherValue { text, .. }) => text.into(),
            HostValue::Bytes(bytes) => bytes.into(),
        };
        // Queries of several models rename the columns: `A_id`, `B_id`.
        let original =
            name.split_once('_').filter(|(prefix, _)| prefix.len() == 1).map_or(name, |(_, original)| original);
        let Some(field) = self.0.get(name).or_else(|| self.0.get(original)) else { return Ok(value) };
        let converted = match (field, &value) {
            (Value::Decimal(_), Value::String(Some(text))) => Decimal::from_str_exact(text).ok().map(Value::from),
            // SQLite has no decimal numbers.
            (Value::Decimal(_), Value::Double(Some(number))) => Decimal::try_from(*number).ok().map(Value::from),
            (Value::Decimal(_), Value::BigInt(Some(number))) => Some(Decimal::from(*number).into()),
            (Value::ChronoDateTime(_), Value::String(Some(text))) => {
                NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok().map(Value::from)
            }
            _ => (*field == value.as_null()).then(|| value.clone()),
        };
        converted.ok_or_else(|| {
            DbErr::Type(format!(
                "column `{name}` contains {value:?}, and the field of the model can only be {field:?}; use a field of the \
                 type i64, f64, bool, String, Vec<u8>, Decimal or DateTime"
            ))
        })
    }
}

fn execution(result: StatementResult) -> ExecResult {
    ProxyExecResult {
        last_insert_id: result.last_insert_id.unwrap_or_default().cast_unsigned(),
        rows_affected: result.rows_affected,
    }
    .into()
}

fn parameter(value: Value) -> Result<HostValue, DbErr> {
    Ok(match value {
        Value::Bool(value) => value.to_value(),
        Value::BigInt(value) => value.to_value(),
        Value::Double(value) => value.to_value(),
        Value::String(value) => value.to_value(),
        Value::Bytes(value) => value.to_value(),
        Value::Decimal(value) => {
            let text = |number: Decimal| OtherValue { type_name: "NUMERIC".to_owned(), text: number.to_string() };
            value.map(text).to_value()
        }
        Value::ChronoDateTime(value) => value.map(|time| time.to_string()).to_value(),
        // The limit of a query.
        Value::BigUnsigned(Some(value)) if i64::try_from(value).is_ok() => value.cast_signed().to_value(),
        other => {
            return Err(DbErr::Type(format!(
                "{other:?} cannot be a parameter; use i64, f64, bool, String, Vec<u8>, Decimal or DateTime"
            )));
        }
    })
}
