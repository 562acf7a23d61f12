//! Random components, compared with their merged form.

use std::fmt::Write;

use proptest::{collection::vec, prelude::*};

use super::*;

/// A core module. Numbers choose one of the items that exist.
#[derive(Debug, Clone)]
struct Part {
    imports: Vec<usize>,
    /// Whether the module exports its imports.
    exports_imports: bool,
    memory: bool,
    table: bool,
    /// The value of an immutable global, and the global to add.
    constant: Option<(u8, usize)>,
    variable: Option<u8>,
    /// Active data segments: the memory, the offset, and the global to add.
    data: Vec<(usize, u8, usize)>,
    /// Active element segments: the table, the offset, and the global to add.
    elements: Vec<(usize, u8, usize)>,
    /// Whether there is a passive data segment.
    passive: bool,
    /// The functions. The first one calls no table, so that tables cannot cause endless recursion.
    functions: Vec<Vec<Step>>,
    /// Whether a function runs when the module is instantiated.
    start: bool,
    /// Whether the component lifts a function before it instantiates the next module.
    lifted: bool,
    /// Whether the component lowers a function with a memory of this module.
    lowered: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Call(usize),
    CallIndirect(usize, u8),
    Load(usize, u8),
    Store(usize, u8, u8),
    Get(usize),
    Set(usize, u8),
    Log(usize, u8),
    Print(usize, u8),
    Init(u8),
    SetElement(usize, u8),
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let step = prop_oneof![
        3 => any::<usize>().prop_map(Step::Call),
        2 => (any::<usize>(), 0..5_u8).prop_map(|(table, at)| Step::CallIndirect(table, at)),
        3 => (any::<usize>(), 0..64_u8).prop_map(|(memory, at)| Step::Load(memory, at)),
        3 => (any::<usize>(), 0..64_u8, any::<u8>()).prop_map(|(memory, at, value)| Step::Store(memory, at, value)),
        2 => any::<usize>().prop_map(Step::Get),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(global, value)| Step::Set(global, value)),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(function, value)| Step::Log(function, value)),
        2 => (any::<usize>(), 0..64_u8).prop_map(|(function, at)| Step::Print(function, at)),
        1 => (0..64_u8).prop_map(Step::Init),
        1 => (any::<usize>(), 0..5_u8).prop_map(|(table, at)| Step::SetElement(table, at)),
    ];
    let often = || prop::bool::weighted(0.8);
    let rarely = || prop::bool::weighted(0.1);
    let segments = |offsets| vec((any::<usize>(), offsets, any::<usize>()), 0..3);
    let items = (
        vec(any::<usize>(), 0..8),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::option::of((0..4_u8, any::<usize>())),
        prop::option::of(any::<u8>()),
    );
    let code = (segments(0..60_u8), segments(0..5_u8), any::<bool>(), vec(vec(step, 0..5), 1..4));
    let part = (items, code, rarely(), rarely(), often());
    let part = part.prop_map(|(items, code, start, lifted, lowered)| {
        let (imports, exports_imports, memory, table, constant, variable) = items;
        let (data, elements, passive, functions) = code;
        Part {
            imports,
            exports_imports,
            memory,
            table,
            constant,
            variable,
            data,
            elements,
            passive,
            functions,
            start,
            lifted,
            lowered,
        }
    });
    vec(part, 1..7)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A function that calls no table.
    Leaf,
    Function,
    Log,
    Print,
    Table,
    Memory,
    Constant,
    Variable,
}

impl Kind {
    fn sort(self) -> &'static str {
        match self {
            Self::Leaf | Self::Function | Self::Log | Self::Print => "func",
            Self::Table => "table",
            Self::Memory => "memory",
            Self::Constant | Self::Variable => "global",
        }
    }
}

/// An item that modules can import: its kind, and the instance and name of the export.
type Export = (Kind, String, String);

/// The text of a component.
#[derive(Default)]
struct Writer {
    text: String,
    exports: Vec<Export>,
    lifted: usize,
}

fn component(parts: &[Part]) -> String {
    let mut writer = Writer::default();
    writer.text.push_str(
        r#"(component
        (import "log" (func $log (param "number" u32)))
        (import "print" (func $print (param "text" string)))
        (core func $log (canon lower (func $log)))
        (core instance $host (export "log" (func $log)))
        "#,
    );
    writer.exports.push((Kind::Log, "$host".to_owned(), "log".to_owned()));
    for (number, part) in parts.iter().enumerate() {
        writer.part(number, part);
    }
    for (number, part) in parts.iter().enumerate() {
        for function in 0..part.functions.len() {
            writer.lift(number, function);
        }
    }
    writer.text.push(')');
    writer.text
}

/// Returns the chosen item of a list, if there is one.
fn pick<T>(items: &[T], choice: usize) -> Option<&T> {
    items.get(choice.checked_rem(items.len())?)
}

/// The items of a module: their kinds and identifiers.
struct Items(Vec<(Kind, String)>);

impl Items {
    fn pick(&self, kinds: &[Kind], choice: usize) -> Option<&str> {
        let items: Vec<_> = self.0.iter().filter(|(kind, _)| kinds.contains(kind)).collect();
        pick(&items, choice).map(|(_, name)| name.as_str())
    }

    /// Returns a constant expression.
    fn offset(&self, value: u8, global: usize) -> String {
        match self.pick(&[Kind::Constant], global).filter(|name| name.starts_with("$i")) {
            Some(global) => format!("(i32.add (global.get {global}) (i32.const {value}))"),
            None => format!("(i32.const {value})"),
        }
    }
}

impl Writer {
    fn part(&mut self, number: usize, part: &Part) {
        let (mut items, mut module, mut args) = (Items(Vec::new()), String::new(), Vec::new());
        for (index, choice) in part.imports.iter().enumerate() {
            let Some((kind, instance, name)) = pick(&self.exports, *choice).cloned() else { continue };
            let id = format!("$i{index}");
            let ty = match kind {
                Kind::Leaf | Kind::Function => format!("(func {id} (result i32))"),
                Kind::Log => format!("(func {id} (param i32))"),
                Kind::Print => format!("(func {id} (param i32 i32))"),
                Kind::Table => format!("(table {id} 1 funcref)"),
                Kind::Memory => format!("(memory {id} 1)"),
                Kind::Constant => format!("(global {id} i32)"),
                Kind::Variable => format!("(global {id} (mut i32))"),
            };
            _ = writeln!(module, r#"(import "" "{id}" {ty})"#);
            args.push(format!(r#"(export "{id}" ({} {instance} "{name}"))"#, kind.sort()));
            items.0.push((kind, id));
        }
        self.definitions(part, &mut items, &mut module);
        self.segments(part, &items, &mut module);
        for (index, steps) in part.functions.iter().enumerate() {
            // A function calls only the functions before it.
            let later: Vec<_> = (index..part.functions.len()).map(|index| format!("$f{index}")).collect();
            let callable = items.0.iter().filter(|(_, id)| !later.contains(id)).cloned().collect();
            body(&Items(callable), index, steps, part.passive, &mut module);
        }
        for (kind, id) in &items.0 {
            if !id.starts_with("$i") || part.exports_imports {
                _ = writeln!(module, r#"(export "{id}" ({} {id}))"#, kind.sort());
                self.exports.push((*kind, format!("$m{number}"), id.clone()));
            }
        }
        if part.start {
            module.push_str("(func $start (drop (call $f0))) (start $start)");
        }
        _ = writeln!(self.text, "(core module $m{number} {module})");
        _ = writeln!(self.text, "(core instance $args{number} {})", args.concat());
        _ = writeln!(
            self.text,
            r#"(core instance $m{number} (instantiate $m{number} (with "" (instance $args{number}))))"#
        );
        if part.lowered && items.0.iter().any(|(_, id)| id == "$memory") {
            _ = writeln!(
                self.text,
                r#"(core func $print{number} (canon lower (func $print) (memory $m{number} "$memory")))
                (core instance $host{number} (export "print" (func $print{number})))"#
            );
            self.exports.push((Kind::Print, format!("$host{number}"), "print".to_owned()));
        }
        if part.lifted {
            self.lift(number, 0);
        }
    }

    fn definitions(&self, part: &Part, items: &mut Items, module: &mut String) {
        if part.memory {
            module.push_str("(memory $memory 1)\n");
            items.0.push((Kind::Memory, "$memory".to_owned()));
        }
        if part.table {
            module.push_str("(table $table 6 funcref)\n");
            items.0.push((Kind::Table, "$table".to_owned()));
        }
        if let Some((value, global)) = part.constant {
            let value = items.offset(value, global);
            _ = writeln!(module, "(global $constant i32 {value})");
            items.0.push((Kind::Constant, "$constant".to_owned()));
        }
        if let Some(value) = part.variable {
            _ = writeln!(module, "(global $variable (mut i32) (i32.const {value}))");
            items.0.push((Kind::Variable, "$variable".to_owned()));
        }
        for index in 0..part.functions.len() {
            items.0.push((if index == 0 { Kind::Leaf } else { Kind::Function }, format!("$f{index}")));
        }
    }

    fn segments(&self, part: &Part, items: &Items, module: &mut String) {
        for (index, (memory, at, global)) in part.data.iter().enumerate() {
            if let Some(memory) = items.pick(&[Kind::Memory], *memory) {
                let offset = items.offset(*at, *global);
                _ = writeln!(module, r#"(data (memory {memory}) (offset {offset}) "{index}{at}")"#);
            }
        }
        for (table, at, global) in &part.elements {
            let function = items.pick(&[Kind::Leaf], *global);
            if let (Some(table), Some(function)) = (items.pick(&[Kind::Table], *table), function) {
                let offset = items.offset(*at, *global);
                _ = writeln!(module, "(elem (table {table}) (offset {offset}) func {function})");
            }
        }
        if part.passive {
            module.push_str(r#"(data $passive "passive")"#);
        }
    }

    /// Lifts a function of a module.
    fn lift(&mut self, module: usize, function: usize) {
        let number = self.lifted;
        self.lifted += 1;
        _ = writeln!(
            self.text,
            r#"(func $l{number} (result u32) (canon lift (core func $m{module} "$f{function}")))
            (export "l{number}" (func $l{number}))"#
        );
    }
}

fn body(items: &Items, index: usize, steps: &[Step], has_passive: bool, module: &mut String) {
    _ = writeln!(module, "(func $f{index} (result i32) (local $sum i32) (local.set $sum (i32.const {index}))");
    let functions: &[Kind] = if index == 0 { &[Kind::Leaf] } else { &[Kind::Leaf, Kind::Function] };
    for step in steps {
        let add =
            |value: String| format!("(local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) {value}))");
        let memory = |choice: usize| items.pick(&[Kind::Memory], choice);
        let table = |choice: usize| items.pick(&[Kind::Table], choice);
        let text = match *step {
            Step::Call(choice) => items.pick(functions, choice).map(|function| add(format!("(call {function})"))),
            Step::CallIndirect(..) if index == 0 => None,
            Step::CallIndirect(choice, at) => {
                table(choice).map(|table| add(format!("(call_indirect {table} (result i32) (i32.const {at}))")))
            }
            Step::Load(choice, at) => memory(choice).map(|memory| add(format!("(i32.load {memory} (i32.const {at}))"))),
            Step::Store(choice, at, value) => {
                memory(choice).map(|memory| format!("(i32.store {memory} (i32.const {at}) (i32.const {value}))"))
            }
            Step::Get(choice) => items
                .pick(&[Kind::Constant, Kind::Variable], choice)
                .map(|global| add(format!("(global.get {global})"))),
            Step::Set(choice, value) => {
                items.pick(&[Kind::Variable], choice).map(|global| format!("(global.set {global} (i32.const {value}))"))
            }
            Step::Log(choice, value) => {
                items.pick(&[Kind::Log], choice).map(|function| format!("(call {function} (i32.const {value}))"))
            }
            Step::Print(choice, at) => items
                .pick(&[Kind::Print], choice)
                .map(|function| format!("(call {function} (i32.const {at}) (i32.const 2))")),
            Step::Init(at) if has_passive => memory(0)
                .map(|memory| format!("(memory.init {memory} $passive (i32.const {at}) (i32.const 1) (i32.const 3))")),
            Step::Init(_) => None,
            Step::SetElement(choice, at) => {
                table(choice).map(|table| format!("(table.set {table} (i32.const {at}) (ref.func $f0))"))
            }
        };
        module.push_str(&text.unwrap_or_default());
    }
    module.push_str("local.get $sum)\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_merged_component_behaves_like_the_original(parts in parts()) {
        let text = component(&parts);
        // The reasons why a component stays have their own tests.
        let _: Result<_, _> = normalized(&engine(), &text);
    }
}
