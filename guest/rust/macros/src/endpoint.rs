//! The attributes of routes: `#[get("/tickets/{id}")]`.

use syn::{
    Attribute, Error, Ident, LitStr, Result, Token,
    parse::{Parse, ParseStream},
};

use crate::pattern::Pattern;

/// The access of a request to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    None,
    ReadOnly,
    ReadWrite,
}

impl Access {
    /// Returns the name of the handle.
    pub(crate) fn handle(self) -> &'static str {
        match self {
            Self::None => "",
            Self::ReadOnly => "Reader",
            Self::ReadWrite => "Writer",
        }
    }

    /// Returns the word in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
        }
    }
}

/// Attributes of routes, with the access of their method.
const METHODS: [(&str, Access); 7] = [
    ("get", Access::ReadOnly),
    ("head", Access::ReadOnly),
    ("post", Access::ReadWrite),
    ("put", Access::ReadWrite),
    ("patch", Access::ReadWrite),
    ("delete", Access::ReadWrite),
    ("options", Access::None),
];

/// A method and a pattern.
pub(crate) struct Endpoint {
    /// The name of the attribute, for errors.
    pub(crate) attribute: Ident,
    /// The method in capital letters.
    pub(crate) method: String,
    pub(crate) pattern: Pattern,
    pub(crate) access: Access,
}

impl Endpoint {
    /// Returns whether an attribute is that of a route.
    pub(crate) fn is_one(attribute: &Attribute) -> bool {
        find(attribute).is_some()
    }

    pub(crate) fn parse(attribute: &Attribute) -> Result<Self> {
        let (name, access) = find(attribute).ok_or_else(|| Error::new_spanned(attribute, "not a route"))?;
        let attribute_name = attribute.path().segments.last().map(|segment| segment.ident.clone());
        let attribute_name = attribute_name.unwrap_or_else(|| Ident::new(name, proc_macro2::Span::call_site()));
        let example = || format!("a route needs a pattern: `#[{name}(\"/tickets/{{id}}\")]`");
        let syn::Meta::List(list) = &attribute.meta else { return Err(Error::new_spanned(attribute, example())) };
        let Options { pattern, transaction } = list
            .parse_args()
            .map_err(|error| if list.tokens.is_empty() { Error::new_spanned(attribute, example()) } else { error })?;
        Ok(Self {
            attribute: attribute_name,
            method: name.to_ascii_uppercase(),
            pattern: Pattern::parse(pattern)?,
            access: transaction.unwrap_or(access),
        })
    }
}

fn find(attribute: &Attribute) -> Option<(&'static str, Access)> {
    let name = &attribute.path().segments.last()?.ident;
    METHODS.into_iter().find(|(method, _)| name == method)
}

struct Options {
    pattern: LitStr,
    transaction: Option<Access>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let pattern =
            input.parse().map_err(|error| Error::new(error.span(), "expected a pattern, such as \"/tickets/{id}\""))?;
        let mut options = Self { pattern, transaction: None };
        if input.parse::<Option<Token![,]>>()?.is_none() {
            return if input.is_empty() { Ok(options) } else { Err(input.error("expected a comma or the end")) };
        }
        if input.is_empty() {
            return Ok(options);
        }
        let key: Ident = input.parse()?;
        if key != "transaction" {
            let message = format!("`{key}` is not an option of a route; the only one is `transaction = \"..\"`");
            return Err(Error::new_spanned(key, message));
        }
        input.parse::<Token![=]>()?;
        let value: LitStr = input.parse()?;
        let modes = [Access::None, Access::ReadOnly, Access::ReadWrite];
        options.transaction = modes.into_iter().find(|mode| mode.as_str() == value.value());
        if options.transaction.is_none() {
            return Err(Error::new_spanned(
                value,
                "expected \"read-only\", \"read-write\" or \"none\", as in the configuration",
            ));
        }
        input.parse::<Option<Token![,]>>()?;
        if input.is_empty() { Ok(options) } else { Err(input.error("expected the end")) }
    }
}
