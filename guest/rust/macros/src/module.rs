//! Modules of functions that the host calls.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, Item, ItemFn, ItemMod, Result};

use crate::{
    action::{self, Action},
    endpoint::Endpoint,
    route::{self, Route},
};

/// Expands a module with the attribute `name`.
pub(crate) fn expand(name: &str, options: TokenStream, item: TokenStream) -> TokenStream {
    let mut module = match parse(name, options, item.clone()) {
        Ok(module) => module,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    let Some((_, items)) = &mut module.content else { return quote!(#module) };
    let (mut routes, mut actions, mut errors) = (Vec::new(), Vec::new(), Errors::default());
    for item in items.iter_mut() {
        let Item::Fn(function) = item else { continue };
        let (ours, others): (Vec<_>, Vec<_>) = std::mem::take(&mut function.attrs).into_iter().partition(is_ours);
        function.attrs = others;
        for attribute in &ours {
            if is_action(attribute) {
                actions.extend(errors.keep(Action::new(attribute, function)));
            } else if name == "actions" {
                errors.add(Error::new_spanned(attribute, "routes are in a module with `#[carya_guest::routes]`"));
            } else {
                let route = Endpoint::parse(attribute).and_then(|endpoint| Route::new(endpoint, function));
                routes.extend(errors.keep(route));
            }
        }
    }
    if errors.is_empty() && routes.is_empty() && actions.is_empty() {
        let example = if name == "actions" { "`#[action]`" } else { "`#[get(\"/path\")]`" };
        errors.add(Error::new_spanned(
            &module.ident,
            format!("no function of this module has an attribute such as {example}"),
        ));
    }
    let exports = errors.keep(route::expand(&routes));
    // After an error the functions stay, so that the compiler and the editor still know them. The exports do not,
    // because their errors would only repeat it.
    let exports = match errors.into_compile_error() {
        Some(errors) => errors,
        None => {
            let actions = action::expand(&actions);
            quote!(#exports #actions)
        }
    };
    if let Some((_, items)) = &mut module.content {
        items.push(Item::Verbatim(exports));
    }
    quote!(#module)
}

fn parse(name: &str, options: TokenStream, item: TokenStream) -> Result<ItemMod> {
    if !options.is_empty() {
        return Err(Error::new_spanned(options, format!("`#[{name}]` has no options")));
    }
    let module: ItemMod = syn::parse2(item).map_err(|error| {
        Error::new(
            error.span(),
            format!("`#[{name}]` belongs to a module: `#[carya_guest::{name}] mod tickets {{ .. }}`"),
        )
    })?;
    if module.content.is_none() {
        let message = format!(
            "`#[{name}]` must see the functions: write them here, in `mod {} {{ .. }}`; their bodies may call other files",
            module.ident
        );
        return Err(Error::new_spanned(&module, message));
    }
    Ok(module)
}

fn is_ours(attribute: &Attribute) -> bool {
    is_action(attribute) || Endpoint::is_one(attribute)
}

fn is_action(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == "action")
}

/// Expands the attribute of a function that is not in a module with `#[routes]`.
pub(crate) fn misplaced(name: &str, item: TokenStream) -> TokenStream {
    let message = format!("`#[{name}]` belongs to a function inside a module with `#[carya_guest::routes]`");
    let error = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => Error::new_spanned(&function.sig.ident, message),
        Err(_) => Error::new_spanned(&item, message),
    };
    let error = error.into_compile_error();
    quote!(#error #item)
}

/// All errors of a module, which are reported together.
#[derive(Default)]
struct Errors(Option<Error>);

impl Errors {
    fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn into_compile_error(self) -> Option<TokenStream> {
        self.0.map(Error::into_compile_error)
    }
}
