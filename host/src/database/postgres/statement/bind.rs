//! Encodes a single parameter: in binary form for the inferred type, or as text with a cast. Does not depend on the
//! statement.

use sqlx::{
    Arguments, Encode, Postgres, Type, TypeInfo,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo},
};

use super::type_name;
use crate::{
    database::postgres::values::Form,
    sql::{
        error::{DbError, Kind, Stale},
        value::Value,
    },
};

/// Cast to write around a placeholder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cast {
    /// No cast.
    None,
    /// A cast to the value's own type.
    To(String),
    /// A cast from text to this type.
    FromText(String),
}

/// A parameter that is being encoded.
#[derive(Debug)]
pub(super) struct Parameter {
    number: usize,
    value: Value,
    cast: Cast,
    /// Bytes to send, once the value fits the inferred type.
    encoded: Option<Encoded>,
}

impl Parameter {
    /// Creates a parameter; numbers start at 1. A value with a type name of its own is cast to that type.
    pub(super) fn new(number: usize, value: Value) -> Result<Self, DbError> {
        if let Value::Text(text) | Value::Other { text, .. } = &value
            && text.contains('\0')
        {
            let message = format!("parameter {number}: PostgreSQL has no text with a NUL character");
            return Err(coded("22021", message));
        }
        let (value, cast) = match value {
            Value::Other { type_name, text } => {
                let type_name = type_name::for_cast(&type_name).ok_or_else(|| {
                    DbError::new(Kind::Other, format!("parameter {number}: `{type_name}` is no name of a type"))
                })?;
                (Value::Text(text), Cast::FromText(type_name))
            }
            value => (value, Cast::None),
        };
        Ok(Self { number, value, cast, encoded: None })
    }

    pub(super) fn cast(&self) -> &Cast {
        &self.cast
    }

    /// Encodes the value for the inferred type. Returns false if the statement must be prepared again with a cast.
    pub(super) fn fit(&mut self, type_info: &PgTypeInfo) -> Result<bool, DbError> {
        // The server's version only matters for intervals, and this function sends no interval in binary form.
        let form = Form::of(type_info, 0);
        let bytes = match encode(&self.value, form.as_ref()) {
            Ok(bytes) => bytes,
            Err(Misfit::Range) => {
                let type_name = type_info.name().to_lowercase();
                let message = format!("parameter {}: the number is out of range for type {type_name}", self.number);
                return Err(coded("22003", message));
            }
            Err(Misfit::Form) if self.cast == Cast::None => {
                self.choose_cast(type_info)?;
                return Ok(false);
            }
            Err(Misfit::Form) => {
                let message = format!("parameter {} cannot be sent as {}", self.number, type_info.name());
                return Err(misfit(message));
            }
        };
        self.encoded = Some(Encoded { bytes, type_info: type_info.clone() });
        Ok(true)
    }

    /// Chooses the cast. If nothing in the statement determines the type, as in `SELECT ?`, the server infers `text`;
    /// the value then determines the type. Otherwise the value is sent as text, which the input function of the
    /// inferred type reads.
    fn choose_cast(&mut self, type_info: &PgTypeInfo) -> Result<(), DbError> {
        let undetermined = type_info.name() == "TEXT";
        let own_type = match self.value {
            Value::Bytes(_) => Some("bytea"),
            Value::Boolean(_) if undetermined => Some("bool"),
            Value::Int64(_) if undetermined => Some("int8"),
            Value::Float64(_) if undetermined => Some("float8"),
            _ => None,
        };
        if let Some(own_type) = own_type {
            self.cast = Cast::To(own_type.to_owned());
            return Ok(());
        }
        let type_name = type_name::for_cast(type_info.name()).ok_or_else(|| {
            let message = format!("parameter {}: no value can be cast to its type, {}", self.number, type_info.name());
            misfit(message)
        })?;
        self.cast = Cast::FromText(type_name);
        let text = match &self.value {
            Value::Boolean(value) => value.to_string(),
            Value::Int64(value) => value.to_string(),
            // The shortest digits that parse back to the same number. A whole number has no point.
            Value::Float64(value) => value.to_string(),
            _ => return Ok(()),
        };
        self.value = Value::Text(text);
        Ok(())
    }
}

/// Reason why a value has no binary form of a type.
#[derive(Debug, PartialEq, Eq)]
enum Misfit {
    /// The value is of another kind.
    Form,
    /// The number is out of range.
    Range,
}

/// Returns the binary form of a value for a type. `None` stands for NULL.
fn encode(value: &Value, form: Option<&Form>) -> Result<Option<Vec<u8>>, Misfit> {
    fn fits<T: TryFrom<i64>>(value: i64) -> Result<T, Misfit> {
        T::try_from(value).map_err(|_| Misfit::Range)
    }
    if *value == Value::Null {
        return Ok(None);
    }
    let bytes = match (value, form.ok_or(Misfit::Form)?) {
        (Value::Boolean(value), Form::Bool) => vec![u8::from(*value)],
        (Value::Int64(value), Form::Int2) => fits::<i16>(*value)?.to_be_bytes().to_vec(),
        (Value::Int64(value), Form::Int4) => fits::<i32>(*value)?.to_be_bytes().to_vec(),
        (Value::Int64(value), Form::Oid) => fits::<u32>(*value)?.to_be_bytes().to_vec(),
        (Value::Int64(value), Form::Int8) => value.to_be_bytes().to_vec(),
        // The server rounds in the same way when an integer is written to a column of this type.
        (Value::Int64(value), Form::Float4) => (*value as f32).to_be_bytes().to_vec(),
        (Value::Int64(value), Form::Float8) => (*value as f64).to_be_bytes().to_vec(),
        (Value::Float64(value), Form::Float4) => single(*value)?.to_be_bytes().to_vec(),
        (Value::Float64(value), Form::Float8) => value.to_be_bytes().to_vec(),
        (Value::Text(text), Form::Text | Form::Json) => text.clone().into_bytes(),
        (Value::Text(text), Form::Versioned) => [&[1], text.as_bytes()].concat(),
        (Value::Bytes(bytes), Form::Bytea) => bytes.clone(),
        _ => return Err(Misfit::Form),
    };
    Ok(Some(bytes))
}

/// Returns the nearest `float4`. Like the server, rejects a finite number that would become infinity, and a number
/// other than 0 that would become 0.
fn single(value: f64) -> Result<f32, Misfit> {
    let nearest = value as f32;
    if (nearest.is_infinite() && value.is_finite()) || (nearest == 0.0 && value != 0.0) {
        return Err(Misfit::Range);
    }
    Ok(nearest)
}

/// Bytes of a parameter, and the type that the server expects.
#[derive(Debug)]
struct Encoded {
    bytes: Option<Vec<u8>>,
    type_info: PgTypeInfo,
}

impl Type<Postgres> for Encoded {
    fn type_info() -> PgTypeInfo {
        // Not used: `produces` returns the type of each value.
        PgTypeInfo::with_name("unknown")
    }
}

impl Encode<'_, Postgres> for Encoded {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match &self.bytes {
            None => Ok(IsNull::Yes),
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
        }
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.type_info.clone())
    }
}

/// Converts parameters that all fit their types.
pub(super) fn arguments(params: Vec<Parameter>) -> Result<PgArguments, DbError> {
    let mut arguments = PgArguments::default();
    for Parameter { number, encoded, .. } in params {
        let refused = |why: &str| DbError::new(Kind::Other, format!("parameter {number}: {why}"));
        let encoded = encoded.ok_or_else(|| refused("its type is not known"))?;
        arguments.add(encoded).map_err(|error| refused(&error.to_string()))?;
    }
    Ok(arguments)
}

/// Error for a value that does not fit the type that the server inferred when the statement was prepared.
fn misfit(message: String) -> DbError {
    DbError { stale: Stale::Perhaps, ..DbError::new(Kind::Data, message) }
}

fn coded(code: &str, message: String) -> DbError {
    DbError { code: Some(code.to_owned()), ..misfit(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_for_the_inferred_type() {
        let int = Value::Int64;
        let table = [
            (Value::Null, None, Ok(None)),
            (Value::Boolean(true), Some(Form::Bool), Ok(Some(vec![1]))),
            (int(-2), Some(Form::Int2), Ok(Some(vec![0xff, 0xfe]))),
            (int(32768), Some(Form::Int2), Err(Misfit::Range)),
            (int(1 << 31), Some(Form::Int4), Err(Misfit::Range)),
            (int(1 << 31), Some(Form::Oid), Ok(Some(vec![0x80, 0, 0, 0]))),
            (int(-1), Some(Form::Oid), Err(Misfit::Range)),
            (int(1), Some(Form::Float4), Ok(Some(vec![0x3f, 0x80, 0, 0]))),
            (int(1), Some(Form::Numeric), Err(Misfit::Form)),
            (int(1), Some(Form::Text), Err(Misfit::Form)),
            (int(1), None, Err(Misfit::Form)),
            (Value::Float64(1e39), Some(Form::Float4), Err(Misfit::Range)),
            (Value::Float64(1e-60), Some(Form::Float4), Err(Misfit::Range)),
            (Value::Float64(f64::INFINITY), Some(Form::Float4), Ok(Some(vec![0x7f, 0x80, 0, 0]))),
            (Value::Text("{}".into()), Some(Form::Versioned), Ok(Some(b"\x01{}".to_vec()))),
            (Value::Bytes(vec![0]), Some(Form::Bytea), Ok(Some(vec![0]))),
            (Value::Bytes(vec![0]), Some(Form::Text), Err(Misfit::Form)),
        ];
        for (value, form, expected) in table {
            assert_eq!(encode(&value, form.as_ref()), expected, "{value:?} as {form:?}");
        }
    }

    #[test]
    fn rejects_values_that_cannot_be_sent() {
        let kind = |value| Parameter::new(1, value).map(|_| ()).map_err(|error| (error.kind, error.code));
        let other =
            |type_name: &str, text: &str| Value::Other { type_name: type_name.to_owned(), text: text.to_owned() };
        assert_eq!(kind(Value::Text("a\0".into())), Err((Kind::Data, Some("22021".into()))));
        assert_eq!(kind(other("NUMERIC", "1\0")), Err((Kind::Data, Some("22021".into()))));
        assert_eq!(kind(other("int); DROP TABLE t; --", "1")), Err((Kind::Other, None)));
        assert_eq!(kind(other("NUMERIC", "1.10")), Ok(()));
    }
}
