//! The parameters of a function that the host calls.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, FnArg, Ident, ItemFn, Result, ReturnType, Type, spanned::Spanned};

/// A parameter.
pub(crate) enum Param {
    /// A reference: the handle of the database.
    Handle(Type),
    /// An owned type.
    Value(Type),
}

impl Param {
    pub(crate) fn ty(&self) -> &Type {
        match self {
            Self::Handle(ty) | Self::Value(ty) => ty,
        }
    }

    /// Returns whether the last segment of the type's path is `name`. Attributes only see names, not types.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        last_segment(self.ty()).is_some_and(|segment| segment.ident == name)
    }
}

/// Returns the last segment of the path of a type, or of the type behind a reference.
pub(crate) fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Reference(reference) => last_segment(&reference.elem),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// Checks a function and returns its parameters.
pub(crate) fn params(function: &ItemFn) -> Result<Vec<Param>> {
    let signature = &function.sig;
    if let Some(word) = &signature.asyncness {
        return Err(Error::new_spanned(
            word,
            "the host calls guests synchronously: remove `async`. Statements and HTTP requests wait for their results",
        ));
    }
    if let Some(generic) = signature.generics.params.first() {
        return Err(Error::new_spanned(
            generic,
            "the host calls this function, so it cannot be generic: name the type",
        ));
    }
    if let Some(attribute) = function.attrs.iter().find(|attribute| attribute.path().is_ident("cfg")) {
        return Err(Error::new_spanned(
            attribute,
            "a function that the host calls cannot have a condition: put the condition on the module",
        ));
    }
    let param = |input: &FnArg| match input {
        FnArg::Receiver(receiver) => {
            Err(Error::new_spanned(receiver, "the host calls this function without a value: remove `self`"))
        }
        FnArg::Typed(typed) => match &*typed.ty {
            Type::Reference(reference) => match &reference.mutability {
                Some(word) => {
                    Err(Error::new_spanned(word, "handles of the database are shared references: remove `mut`"))
                }
                None => Ok(Param::Handle((*typed.ty).clone())),
            },
            Type::ImplTrait(_) => Err(Error::new_spanned(&typed.ty, "name the type of the extractor")),
            _ => Ok(Param::Value((*typed.ty).clone())),
        },
    };
    let params = signature.inputs.iter().map(param).collect::<Result<Vec<_>>>()?;
    let mut handles = params.iter().filter(|param| matches!(param, Param::Handle(_)));
    match (handles.next(), handles.next()) {
        (Some(_), Some(second)) => Err(Error::new_spanned(
            second.ty(),
            "there is one handle of the database: other parameters are owned values",
        )),
        _ => Ok(params),
    }
}

/// Returns the expression that calls `function` with its parameters. Each extractor is read first; if it has a problem,
/// `refuse` turns the expression `problem` into the result.
pub(crate) fn call(
    function: &Ident,
    params: &[Param],
    handle: &TokenStream,
    refuse: &TokenStream,
    other: impl Fn(&Param) -> Option<TokenStream>,
) -> (TokenStream, TokenStream) {
    let mut reads = TokenStream::new();
    let mut arguments = Vec::new();
    for (index, param) in params.iter().enumerate() {
        match param {
            Param::Handle(ty) => arguments.push(quote_spanned!(ty.span()=> #handle)),
            Param::Value(ty) => match other(param) {
                Some(argument) => arguments.push(argument),
                None => {
                    let name = format_ident!("__argument_{index}", span = Span::mixed_site());
                    reads.extend(quote_spanned! {ty.span()=>
                        let #name = match <#ty as ::carya_guest::FromRequest>::from_request(&::carya_guest::__private::request()) {
                            ::core::result::Result::Ok(value) => value,
                            ::core::result::Result::Err(problem) => return #refuse,
                        };
                    });
                    arguments.push(quote!(#name));
                }
            },
        }
    }
    (reads, quote!(#function(#(#arguments),*)))
}

/// Returns the statements that pass the result of `call` to the function `convert`. An error about the type of the result
/// points at this type in the source.
pub(crate) fn convert(function: &ItemFn, convert: &TokenStream, call: &TokenStream) -> TokenStream {
    let span = match &function.sig.output {
        ReturnType::Default => function.sig.ident.span(),
        ReturnType::Type(_, ty) => ty.span(),
    };
    let result = Ident::new("__result", span);
    quote_spanned!(span=> let #result = #call; #convert(#result))
}
