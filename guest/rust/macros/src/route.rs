//! Functions that serve routes.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, GenericArgument, ItemFn, PathArguments, Result, Type};

use crate::{
    endpoint::{Access, Endpoint},
    signature::{self, Param, last_segment},
};

/// A function with the attribute of a route.
pub(crate) struct Route {
    endpoint: Endpoint,
    function: ItemFn,
    params: Vec<Param>,
}

impl Route {
    pub(crate) fn new(endpoint: Endpoint, function: &ItemFn) -> Result<Self> {
        let params = signature::params(function)?;
        for param in &params {
            match param {
                Param::Handle(_) => check_handle(param, &endpoint)?,
                Param::Value(ty) => {
                    check_owned(param)?;
                    check_path(ty, &endpoint)?;
                }
            }
        }
        Ok(Self { endpoint, function: function.clone(), params })
    }

    /// Returns the error of a second function for the same method and pattern.
    fn repeats(&self, earlier: &Self) -> Option<Error> {
        let (this, that) = (&self.endpoint, &earlier.endpoint);
        (this.method == that.method && this.pattern.literal.value() == that.pattern.literal.value()).then(|| {
            let (method, pattern, function) = (&this.method, this.pattern.literal.value(), &earlier.function.sig.ident);
            Error::new_spanned(&this.pattern.literal, format!("`{function}` serves {method} {pattern} already"))
        })
    }
}

fn check_handle(param: &Param, endpoint: &Endpoint) -> Result<()> {
    let Endpoint { attribute, method, pattern, access } = endpoint;
    let pattern = pattern.literal.value();
    let wrong = |message: String| Err(Error::new_spanned(param.ty(), message));
    let other = |mode: Access| {
        format!(
            "if the configuration of this route sets `transaction = \"{0}\"`, write `#[{attribute}(\"{pattern}\", \
             transaction = \"{0}\")]`",
            mode.as_str()
        )
    };
    let (reads, writes) = (param.is_named("Reader"), param.is_named("Writer"));
    match access {
        Access::None => wrong(format!(
            "{method} {pattern} has no transaction, so there is no handle: remove the parameter; {}",
            other(if writes { Access::ReadWrite } else { Access::ReadOnly })
        )),
        Access::ReadOnly if writes => {
            wrong(format!("{method} {pattern} only reads: take `&Reader`; {}", other(Access::ReadWrite)))
        }
        Access::ReadWrite if reads => {
            wrong(format!("{method} {pattern} receives a `&Writer`, which also reads; {}", other(Access::ReadOnly)))
        }
        _ => Ok(()),
    }
}

/// Refuses a handle by value, which the trait `FromRequest` would explain less well.
fn check_owned(param: &Param) -> Result<()> {
    match ["Reader", "Writer"].into_iter().find(|name| param.is_named(name)) {
        Some(name) => Err(Error::new_spanned(param.ty(), format!("a handle is a reference: `db: &{name}`"))),
        None => Ok(()),
    }
}

/// Compares `Path<..>` with the parameters of the pattern.
fn check_path(ty: &Type, endpoint: &Endpoint) -> Result<()> {
    let Some(segment) = last_segment(ty).filter(|segment| segment.ident == "Path") else { return Ok(()) };
    let (pattern, count) = (endpoint.pattern.literal.value(), endpoint.pattern.params.len());
    if count == 0 {
        return Err(Error::new_spanned(
            ty,
            format!(
                "the pattern \"{pattern}\" has no parameter for `Path`: write one in braces, such as \"{}/{{id}}\"",
                pattern.trim_end_matches('/')
            ),
        ));
    }
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return Ok(()) };
    let Some(GenericArgument::Type(Type::Tuple(tuple))) = arguments.args.first() else { return Ok(()) };
    if tuple.elems.len() != count {
        let message = format!(
            "the pattern \"{pattern}\" has {count} parameter{}, but `Path` takes {}",
            if count == 1 { "" } else { "s" },
            tuple.elems.len()
        );
        return Err(Error::new_spanned(tuple, message));
    }
    Ok(())
}

/// Returns the exports of the routes, and the custom section that lists them.
pub(crate) fn expand(routes: &[Route]) -> Result<TokenStream> {
    for (index, route) in routes.iter().enumerate() {
        if let Some(error) = routes[..index].iter().find_map(|earlier| route.repeats(earlier)) {
            return Err(error);
        }
    }
    let reads = export(routes, Access::ReadOnly);
    let writes = export(routes, Access::ReadWrite);
    let plain = export(routes, Access::None);
    let section = section(routes);
    Ok(quote!(#reads #writes #plain #section))
}

/// Returns the export for the routes with this access.
fn export(routes: &[Route], access: Access) -> TokenStream {
    let routes: Vec<_> = routes.iter().filter(|route| route.endpoint.access == access).collect();
    if routes.is_empty() {
        return TokenStream::new();
    }
    let private = quote!(::carya_guest::__private);
    let (module, function) = match access {
        Access::None => ("plain_controller", "plain"),
        Access::ReadOnly => ("read_controller", "read"),
        Access::ReadWrite => ("write_controller", "write"),
    };
    let (module, function, export) =
        (format_ident!("{module}"), format_ident!("{function}"), format_ident!("export_{module}"));
    let (param, open, pass, take) = match access {
        Access::None => Default::default(),
        _ => {
            let handle = format_ident!("{}", access.handle());
            (
                quote!(db: #private::database::#handle),
                quote!(let db = ::carya_guest::#handle::__from_raw(db);),
                quote!(&db),
                quote!(db: &::carya_guest::#handle),
            )
        }
    };
    let names: Vec<_> = (0..routes.len()).map(|index| format_ident!("__carya_serve_{index}")).collect();
    let functions = routes.iter().zip(&names).map(|(route, name)| serve(route, name, &take));
    let arms = routes.iter().zip(&names).map(|(route, name)| {
        let (pattern, method) = (&route.endpoint.pattern.literal, &route.endpoint.method);
        // GET includes HEAD, unless a function serves HEAD. An earlier arm wins, so those of HEAD come first.
        let methods = if method == "GET" { quote!("GET" | "HEAD") } else { quote!(#method) };
        let order = method != "HEAD";
        (order, quote!((#pattern, #methods) => #name(#pass),))
    });
    let mut arms: Vec<_> = arms.collect();
    arms.sort_by_key(|(order, _)| *order);
    let arms = arms.into_iter().map(|(_, arm)| arm);
    quote! {
        const _: () = {
            #(#functions)*

            struct __CaryaRoutes;

            impl #private::#module::exports::carya::host::#module::Guest for __CaryaRoutes {
                fn #function(#param) -> ::core::result::Result<#private::types::Response, ::std::string::String> {
                    #open
                    let endpoint = #private::endpoint();
                    #private::respond(match (&*endpoint.0, &*endpoint.1) {
                        #(#arms)*
                        _ => #private::unserved(),
                    })
                }
            }

            #private::#module::#export!(__CaryaRoutes with_types_in #private::#module);
        };
    }
}

/// Returns the function that reads the extractors of a route and calls its function.
fn serve(route: &Route, name: &syn::Ident, take: &TokenStream) -> TokenStream {
    let refuse = quote!(::carya_guest::IntoResponse::into_response(problem));
    let (reads, call) = signature::call(&route.function.sig.ident, &route.params, &quote!(db), &refuse, |_| None);
    let respond = signature::convert(&route.function, &quote!(::carya_guest::IntoResponse::into_response), &call);
    quote! {
        #[allow(unused_variables)]
        fn #name(#take) -> ::carya_guest::Response {
            #reads
            #respond
        }
    }
}

/// Returns the custom section `carya:routes`, which the host compares with its configuration: one line with method,
/// access mode and pattern for each route.
fn section(routes: &[Route]) -> TokenStream {
    if routes.is_empty() {
        return TokenStream::new();
    }
    let line = |Route { endpoint, .. }: &Route| {
        format!("{} {} {}\n", endpoint.method, endpoint.access.as_str(), endpoint.pattern.literal.value())
    };
    let mut lines: Vec<_> = routes.iter().map(line).collect();
    lines.sort();
    let text = lines.concat();
    let (bytes, length) = (proc_macro2::Literal::byte_string(text.as_bytes()), text.len());
    quote! {
        #[cfg(target_family = "wasm")]
        const _: () = {
            #[used]
            #[unsafe(link_section = "carya:routes")]
            static ROUTES: [u8; #length] = *#bytes;
        };
    }
}
