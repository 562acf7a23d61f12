//! Functions that run after a transaction.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, ItemFn, Result, Type, ext::IdentExt, spanned::Spanned};

use crate::signature::{self, Param};

const EXPECTED: &str = "an action takes its payload, and optionally `db: &Writer` and `attempt: Attempt`";

/// A function with the attribute `#[action]`.
pub(crate) struct Action {
    name: String,
    function: ItemFn,
    params: Vec<Param>,
    payload: Type,
}

impl Action {
    pub(crate) fn new(attribute: &syn::Attribute, function: &ItemFn) -> Result<Self> {
        if !matches!(attribute.meta, syn::Meta::Path(_)) {
            return Err(Error::new_spanned(attribute, "`#[action]` has no options: the function's name is its name"));
        }
        let params = signature::params(function)?;
        let mut payload = None;
        for param in &params {
            let wrong = match param {
                Param::Handle(_) => !param.is_named("Writer"),
                Param::Value(_) if param.is_named("Attempt") => false,
                Param::Value(ty) => payload.replace(ty.clone()).is_some(),
            };
            if wrong {
                return Err(Error::new_spanned(param.ty(), EXPECTED));
            }
        }
        let payload = payload.ok_or_else(|| Error::new_spanned(&function.sig.ident, EXPECTED))?;
        Ok(Self { name: function.sig.ident.unraw().to_string(), function: function.clone(), params, payload })
    }
}

/// Returns the export of the actions, and the implementations of `Action` for their payloads.
pub(crate) fn expand(actions: &[Action]) -> TokenStream {
    if actions.is_empty() {
        return TokenStream::new();
    }
    let private = quote!(::carya_guest::__private);
    let impls = actions.iter().map(|Action { name, payload, .. }| {
        quote_spanned! {payload.span()=>
            impl ::carya_guest::Action for #payload {
                const NAME: &'static str = #name;
            }
        }
    });
    let arms = actions.iter().map(|Action { name, function, params, payload }| {
        let argument = |param: &Param| match param.is_named("Attempt") {
            true => Some(quote!(attempt)),
            false => Some(quote_spanned!(payload.span()=> #private::parse::<#payload>(&payload)?)),
        };
        let (_, call) = signature::call(&function.sig.ident, params, &quote!(&db), &TokenStream::new(), argument);
        let finish = signature::convert(function, &quote!(#private::finish), &call);
        quote!(#name => { #finish })
    });
    quote! {
        const _: () = {
            #(#impls)*

            struct __CaryaActions;

            impl #private::actions::exports::carya::host::actions::Guest for __CaryaActions {
                #[allow(unused_variables)]
                fn run(
                    action: #private::actions::exports::carya::host::actions::Action,
                    db: #private::database::Writer,
                ) -> ::core::result::Result<(), ::std::string::String> {
                    let db = ::carya_guest::Writer::__from_raw(db);
                    let (name, payload, attempt) = #private::split(action);
                    match &*name {
                        #(#arms)*
                        _ => ::core::result::Result::Err(::std::format!("this component has no action `{name}`")),
                    }
                }
            }

            #private::actions::export_actions!(__CaryaActions with_types_in #private::actions);
        };
    }
}
