//! Functions that are hooks, and the function that initializes the database.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, ItemFn, Result};

use crate::signature::{self, Param};

/// An export that one function implements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Init,
    OnRoute,
    Before,
    After,
    OnError,
}

impl Phase {
    /// Returns the name of the attribute.
    fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::OnRoute => "on_route",
            Self::Before => "before",
            Self::After => "after",
            Self::OnError => "on_error",
        }
    }

    /// Returns the name of the module with the bindings of the export.
    fn module(self) -> &'static str {
        if self == Self::Init { "model" } else { self.name() }
    }
}

/// Expands a function with the attribute of a phase.
pub(crate) fn expand(phase: Phase, options: TokenStream, item: TokenStream) -> TokenStream {
    match export(phase, options, item.clone()) {
        Ok(export) => quote!(#item #export),
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#item #error)
        }
    }
}

fn export(phase: Phase, options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let name = phase.name();
    if !options.is_empty() {
        return Err(Error::new_spanned(options, format!("`#[{name}]` has no options")));
    }
    let function: ItemFn = syn::parse2(item)
        .map_err(|error| Error::new(error.span(), format!("`#[carya_guest::{name}]` belongs to a function")))?;
    let params = signature::params(&function)?;
    params.iter().try_for_each(|param| check(phase, param))?;
    let private = quote!(::carya_guest::__private);
    let string = quote!(::std::string::String);
    let response = quote!(#private::types::Response);
    // The parameters and the result of the export in the contract, the function that converts the result, and the
    // result if an extractor has a problem.
    let raw_handle = quote!(db: #private::database::Handle);
    let handle = quote!(let db = ::carya_guest::Handle::__from_raw(db););
    let refused = quote!(#private::respond(::carya_guest::IntoResponse::into_response(problem)));
    let refused_answer = quote!(#refused.map(::core::option::Option::Some));
    let text = quote!(::core::result::Result::Err(::std::string::ToString::to_string(&problem)));
    let (inputs, output, open, convert, refuse) = match phase {
        Phase::Init => (
            quote!(db: #private::database::Writer),
            quote!(()),
            quote!(let db = ::carya_guest::Writer::__from_raw(db);),
            "finish",
            text,
        ),
        Phase::OnRoute => {
            let decision = quote!(#private::on_route::exports::carya::host::on_route::Decision);
            let refuse = quote!(#refused.map(#decision::Answer));
            (quote!(), decision, quote!(), "decide", refuse)
        }
        Phase::Before => (raw_handle, quote!(::core::option::Option<#response>), handle, "answer", refused_answer),
        Phase::After => (raw_handle, quote!(()), handle, "finish", text),
        Phase::OnError => (
            quote!(#raw_handle, failure: #private::types::Failure),
            quote!(::core::option::Option<#response>),
            handle,
            "answer",
            refused_answer,
        ),
    };
    let failure = |param: &Param| (phase == Phase::OnError && param.is_named("Failure")).then(|| quote!(failure));
    let (reads, call) = signature::call(&function.sig.ident, &params, &quote!(&db), &refuse, failure);
    let convert = format_ident!("{convert}");
    let convert = signature::convert(&function, &quote!(#private::#convert), &call);
    let (module, method) = (format_ident!("{}", phase.module()), format_ident!("{name}"));
    let export = format_ident!("export_{module}");
    Ok(quote! {
        const _: () = {
            struct __CaryaHook;

            impl #private::#module::exports::carya::host::#module::Guest for __CaryaHook {
                #[allow(unused_variables)]
                fn #method(#inputs) -> ::core::result::Result<#output, #string> {
                    #open
                    #reads
                    #convert
                }
            }

            #private::#module::#export!(__CaryaHook with_types_in #private::#module);
        };
    })
}

fn check(phase: Phase, param: &Param) -> Result<()> {
    let wrong = |message: &str| Err(Error::new_spanned(param.ty(), message));
    match (phase, param) {
        (Phase::OnRoute, Param::Handle(_)) => {
            wrong("`on_route` runs before the access mode is known, so there is no handle: remove the parameter")
        }
        (Phase::Init, Param::Handle(_)) if !param.is_named("Writer") => wrong("`init` receives `db: &Writer`"),
        (Phase::Init, Param::Value(_)) => wrong("`init` runs without a request: its only parameter is `db: &Writer`"),
        (Phase::Before | Phase::After | Phase::OnError, Param::Handle(_)) if !param.is_named("Handle") => wrong(
            "a hook receives `db: &Handle`, because the request decides about the handle: use `db.writer()` or `db.reader()`",
        ),
        (_, Param::Value(_)) if ["Reader", "Writer", "Handle"].into_iter().any(|name| param.is_named(name)) => {
            wrong("a handle is a reference: `db: &Handle`")
        }
        _ => Ok(()),
    }
}
