//! Binary formats of PostgreSQL's types, and their conversion to text. [`Form::of`] determines the types that the host
//! supports.

use std::fmt::Write;

use sqlx::{
    TypeInfo,
    postgres::{PgTypeInfo, PgTypeKind},
};

use super::{
    float, nested, network, numeric, time,
    wire::{Malformed, Wire},
};

/// Binary format of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::database::postgres) enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// Characters, which become a `Value::Text`.
    Text,
    /// The type `"char"`: one byte.
    Char,
    Bytea,
    Void,
    Json,
    Xml,
    /// Characters after a version byte, which is 1: `jsonb`, `jsonpath`.
    Versioned,
    Numeric,
    Uuid,
    Date,
    Time,
    Timetz,
    Timestamp,
    Timestamptz,
    Interval {
        /// Whether the server has infinite intervals, as from version 17 on. In earlier versions, the bytes of an
        /// infinite interval stand for the longest or the shortest interval.
        infinite: bool,
    },
    /// `inet` and `cidr`; a flag in the value distinguishes them.
    Network,
    Macaddr,
    Bits,
    /// Numbers that serve as identifiers: `xid`, `cid`.
    Xid,
    Xid8,
    Tid,
    Lsn,
    Array(Box<Form>),
    /// An array of the catalogue with the format of an array and a text of its own: `int2vector`, `oidvector`.
    Vector(Box<Form>),
    Range(Box<Form>),
}

impl Form {
    /// Returns the format of a type, or `None` if the host does not support the type. `version` is the server's
    /// version, such as 150004.
    pub(in crate::database::postgres) fn of(type_info: &PgTypeInfo, version: u32) -> Option<Form> {
        // OIDs below 16384 are the same on every server.
        let built_in = match type_info.oid()?.0 {
            16 => Form::Bool,
            17 => Form::Bytea,
            18 => Form::Char,
            20 => Form::Int8,
            21 => Form::Int2,
            23 => Form::Int4,
            26 => Form::Oid,
            // name, text, unknown, bpchar, varchar, refcursor
            19 | 25 | 705 | 1042 | 1043 | 1790 => Form::Text,
            27 => Form::Tid,
            28 | 29 => Form::Xid,
            114 => Form::Json,
            142 => Form::Xml,
            650 | 869 => Form::Network,
            700 => Form::Float4,
            701 => Form::Float8,
            774 | 829 => Form::Macaddr,
            1082 => Form::Date,
            1083 => Form::Time,
            1114 => Form::Timestamp,
            1184 => Form::Timestamptz,
            1186 => Form::Interval { infinite: version >= 170_000 },
            1266 => Form::Timetz,
            1560 | 1562 => Form::Bits,
            1700 => Form::Numeric,
            2278 => Form::Void,
            2950 => Form::Uuid,
            3220 => Form::Lsn,
            3802 | 4072 => Form::Versioned,
            5069 => Form::Xid8,
            // The driver treats them as arrays.
            22 => Form::Vector(Box::new(Form::Int2)),
            30 => Form::Vector(Box::new(Form::Oid)),
            // box[] separates its elements by semicolons, but box is not supported anyway.
            _ => return Form::composed(type_info, version),
        };
        Some(built_in)
    }

    fn composed(type_info: &PgTypeInfo, version: u32) -> Option<Form> {
        match type_info.name() {
            // The type was dropped while the statement was prepared. The driver panics if `kind` is called on such a
            // type.
            "?" => return None,
            name if name == "citext" || name.ends_with(".citext") => return Some(Form::Text),
            _ => {}
        }
        match type_info.kind() {
            PgTypeKind::Domain(base) => Form::of(base, version),
            PgTypeKind::Enum(_) => Some(Form::Text),
            PgTypeKind::Array(element) => Form::of(element, version).map(|form| Form::Array(Box::new(form))),
            PgTypeKind::Range(bound) => Form::of(bound, version).map(|form| Form::Range(Box::new(form))),
            PgTypeKind::Simple | PgTypeKind::Pseudo | PgTypeKind::Composite(_) => None,
        }
    }

    /// Formats a value that is not NULL as the type's output function does.
    pub(super) fn text(&self, bytes: &[u8]) -> Result<String, Malformed> {
        let wire = Wire(bytes);
        match self {
            Form::Bool => wire.all(Wire::boolean).map(|value| if value { "t" } else { "f" }.to_owned()),
            Form::Int2 => wire.all(Wire::i16).map(|value| value.to_string()),
            Form::Int4 => wire.all(Wire::i32).map(|value| value.to_string()),
            Form::Int8 => wire.all(Wire::i64).map(|value| value.to_string()),
            Form::Oid | Form::Xid => wire.all(Wire::u32).map(|value| value.to_string()),
            Form::Xid8 => wire.all(Wire::u64).map(|value| value.to_string()),
            Form::Float4 => wire.all(Wire::u32).map(|bits| float::single(f32::from_bits(bits))),
            Form::Float8 => wire.all(Wire::u64).map(|bits| float::double(f64::from_bits(bits))),
            Form::Text | Form::Json | Form::Xml => wire.text().map(str::to_owned),
            Form::Char => wire.all(Wire::byte).map(char),
            Form::Bytea => Ok(hex("\\x", bytes)),
            Form::Void => Ok(String::new()),
            Form::Versioned => match bytes {
                [1, text @ ..] => Wire(text).text().map(str::to_owned),
                _ => Err(Malformed),
            },
            Form::Numeric => wire.all(numeric::text),
            Form::Uuid => wire.all(uuid),
            Form::Date => wire.all(time::date),
            Form::Time => wire.all(time::time),
            Form::Timetz => wire.all(time::timetz),
            Form::Timestamp => wire.all(|wire| time::timestamp(wire, "")),
            Form::Timestamptz => wire.all(|wire| time::timestamp(wire, "+00")),
            Form::Interval { infinite } => wire.all(|wire| time::interval(wire, *infinite)),
            Form::Network => wire.all(network::address),
            Form::Macaddr => Ok(network::hardware(bytes)),
            Form::Bits => wire.all(network::bits),
            Form::Tid => wire.all(|wire| Ok(format!("({},{})", wire.u32()?, wire.u16()?))),
            Form::Lsn => wire.all(|wire| Ok(format!("{:X}/{:X}", wire.u32()?, wire.u32()?))),
            Form::Array(element) => wire.all(|wire| nested::array(wire, &|bytes| element.text(bytes))),
            Form::Vector(element) => wire.all(|wire| nested::vector(wire, &|bytes| element.text(bytes))),
            Form::Range(bound) => wire.all(|wire| nested::range(wire, &|bytes| bound.text(bytes))),
        }
    }
}

/// Formats a `"char"`: NUL is the empty text, and a byte that is not ASCII is written in octal.
fn char(byte: u8) -> String {
    match byte {
        0 => String::new(),
        0x80.. => format!("\\{byte:03o}"),
        _ => char::from(byte).to_string(),
    }
}

fn uuid(wire: &mut Wire<'_>) -> Result<String, Malformed> {
    let groups = [wire.take(4)?, wire.take(2)?, wire.take(2)?, wire.take(2)?, wire.take(6)?];
    Ok(groups.map(|group| hex("", group)).join("-"))
}

fn hex(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(prefix.len() + 2 * bytes.len());
    text.push_str(prefix);
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}
