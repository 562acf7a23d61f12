//! Parameters of statements.

use super::types::{OtherValue, Value};

/// A value that can be a parameter of a statement.
///
/// Implement it for types of your own:
///
/// ```
/// use carya_guest::{ToValue, Value};
///
/// enum State { Open, Closed }
///
/// impl ToValue for State {
///     fn to_value(&self) -> Value {
///         match self {
///             State::Open => "open".to_value(),
///             State::Closed => "closed".to_value(),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a statement",
    note = "parameters are booleans, integers of at most 64 bits with a sign, floats, texts, bytes, `Value`, and `Option` of these",
    note = "convert `u64` and `usize` with `i64::try_from`; implement `ToValue` for a type of your own"
)]
pub trait ToValue {
    /// Returns the value.
    fn to_value(&self) -> Value;
}

macro_rules! to_value {
    ($($type:ty => |$value:ident| $result:expr,)*) => {
        $(impl ToValue for $type {
            fn to_value(&self) -> Value {
                let $value = self;
                $result
            }
        })*
    };
}

to_value! {
    bool => |value| Value::Boolean(*value),
    i8 => |value| Value::Int64((*value).into()),
    i16 => |value| Value::Int64((*value).into()),
    i32 => |value| Value::Int64((*value).into()),
    i64 => |value| Value::Int64(*value),
    u8 => |value| Value::Int64((*value).into()),
    u16 => |value| Value::Int64((*value).into()),
    u32 => |value| Value::Int64((*value).into()),
    f32 => |value| Value::Float64((*value).into()),
    f64 => |value| Value::Float64(*value),
    str => |value| Value::Text(value.to_owned()),
    String => |value| Value::Text(value.clone()),
    [u8] => |value| Value::Bytes(value.to_vec()),
    Vec<u8> => |value| Value::Bytes(value.clone()),
    Value => |value| value.clone(),
    OtherValue => |value| Value::Other(value.clone()),
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value {
        Value::Bytes(self.to_vec())
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}

/// The parameters of a statement: a tuple of up to 16 values, an array or slice of values of one type, or a `Vec` of
/// [`Value`].
///
/// ```
/// use carya_guest::{Params, Value};
///
/// let title: Option<&str> = None;
/// assert_eq!((7, "open", title).into_values(), [Value::Int64(7), Value::Text("open".into()), Value::Null]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of parameters",
    note = "write a tuple: `()` for no parameter, `(value,)` for one, `(first, second)` for two"
)]
pub trait Params {
    /// Returns the values, in order.
    fn into_values(self) -> Vec<Value>;
}

impl Params for () {
    fn into_values(self) -> Vec<Value> {
        Vec::new()
    }
}

impl Params for Vec<Value> {
    fn into_values(self) -> Vec<Value> {
        self
    }
}

impl<T: ToValue> Params for &[T] {
    fn into_values(self) -> Vec<Value> {
        self.iter().map(ToValue::to_value).collect()
    }
}

impl<T: ToValue, const N: usize> Params for [T; N] {
    fn into_values(self) -> Vec<Value> {
        self.as_slice().into_values()
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: ToValue),+> Params for ($($name,)+) {
            #[allow(non_snake_case)]
            fn into_values(self) -> Vec<Value> {
                let ($($name,)+) = self;
                vec![$($name.to_value()),+]
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K L);
tuples!(A B C D E F G H I J K L M);
tuples!(A B C D E F G H I J K L M N);
tuples!(A B C D E F G H I J K L M N O);
tuples!(A B C D E F G H I J K L M N O P);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_value() {
        let name = "é".to_owned();
        let values =
            (true, -1_i8, u32::MAX, 1.5_f32, &name, name.as_str(), [1_u8, 2], vec![3_u8], &&7_i64, None::<i64>);
        let expected = [
            Value::Boolean(true),
            Value::Int64(-1),
            Value::Int64(4_294_967_295),
            Value::Float64(1.5),
            Value::Text("é".into()),
            Value::Text("é".into()),
            Value::Bytes(vec![1, 2]),
            Value::Bytes(vec![3]),
            Value::Int64(7),
            Value::Null,
        ];
        assert_eq!(values.into_values(), expected);
    }

    #[test]
    fn lists_of_one_type_are_parameters() {
        assert_eq!(["a", "b"].into_values(), [Value::Text("a".into()), Value::Text("b".into())]);
        assert_eq!([1_i64].as_slice().into_values(), [Value::Int64(1)]);
        assert_eq!(vec![Value::Null].into_values(), [Value::Null]);
    }
}
