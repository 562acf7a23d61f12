//! Counts the functions of a component, so that the log can report the progress of its compilation.

#![forbid(unsafe_code)]

use std::{collections::HashSet, mem};

use wasmparser::{BinaryReaderError, ElementItems, ExternalKind, Operator, Parser, Payload, TypeRef};

/// Functions of a core module.
#[derive(Debug, Default)]
struct Module {
    imported: u32,
    defined: u32,
    /// Indices of exported functions and of those in tables. The compiler adds a trampoline to each defined one.
    reachable: HashSet<u32>,
}

/// Returns the approximate number of functions that the compiler compiles, with the trampolines that it adds to functions
/// of core modules. Does not count the functions behind an invalid part.
pub(super) fn functions(component: &[u8]) -> u64 {
    let (mut total, mut module) = (0, Module::default());
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        if let Payload::Version { .. } = payload {
            total += mem::take(&mut module).functions();
        } else if module.read(payload).is_err() {
            break;
        }
    }
    total + module.functions()
}

impl Module {
    fn read(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    self.reachable.extend((export.kind == ExternalKind::Func).then_some(export.index));
                }
            }
            Payload::ElementSection(elements) => {
                for element in elements {
                    match element?.items {
                        ElementItems::Functions(indices) => {
                            for index in indices {
                                self.reachable.insert(index?);
                            }
                        }
                        ElementItems::Expressions(_, expressions) => {
                            for expression in expressions {
                                if let Operator::RefFunc { function_index } =
                                    expression?.get_operators_reader().read()?
                                {
                                    self.reachable.insert(function_index);
                                }
                            }
                        }
                    }
                }
            }
            Payload::CodeSectionStart { count, .. } => self.defined = count,
            _ => {}
        }
        Ok(())
    }

    fn functions(self) -> u64 {
        let trampolines = self.reachable.iter().filter(|index| **index >= self.imported).count();
        u64::from(self.defined) + trampolines as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_functions_and_trampolines() -> Result<(), wat::Error> {
        let component = wat::parse_str(
            r#"(component
                (core module
                    (import "a" "b" (func $imported))
                    (table 9 funcref)
                    (elem (i32.const 0) func $imported $one $two $two)
                    (elem (i32.const 5) funcref (ref.func $three) (ref.null func))
                    (func $one (export "one"))
                    (func $two)
                    (func $three)
                    (func $four))
                (core module (func (export "other"))))"#,
        )?;
        assert_eq!(functions(&component), 4 + 3 + 1 + 1);
        assert_eq!(functions(b"no component"), 0);
        Ok(())
    }
}
