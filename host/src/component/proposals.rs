//! Proposals of WebAssembly that this host does not offer. A component needs a proposal if it is valid with all
//! proposals, and invalid without this one.

use wasmparser::{Validator, WasmFeatures};

/// A proposal that the engine rejects.
struct Proposal {
    features: WasmFeatures,
    name: &'static str,
    /// Which programs need it, and how to build them without it.
    needed_by: &'static str,
}

/// The proposals that the engine rejects, in the order of messages.
const NOT_OFFERED: [Proposal; 9] = [
    Proposal {
        features: WasmFeatures::EXCEPTIONS,
        name: "exceptions",
        needed_by: "Kotlin, Dart and OCaml need it, and C++ with exceptions: build C++ with `-fno-exceptions`",
    },
    Proposal {
        features: WasmFeatures::LEGACY_EXCEPTIONS,
        name: "legacy exceptions",
        needed_by: "C++ with exceptions needs it in older compilers: build C++ with `-fno-exceptions`",
    },
    Proposal {
        features: WasmFeatures::GC.union(WasmFeatures::GC_TYPES),
        name: "garbage collection",
        needed_by: "Kotlin, Dart, Java and OCaml need it: use a compiler with a collector of its own",
    },
    Proposal {
        features: WasmFeatures::THREADS.union(WasmFeatures::SHARED_EVERYTHING_THREADS),
        name: "threads",
        needed_by: "programs with threads or atomic operations need it: build for a target without threads, such as \
                    wasm32-wasip2",
    },
    Proposal {
        features: WasmFeatures::MEMORY64.union(WasmFeatures::CM64),
        name: "64-bit memory",
        needed_by: "the wasm64 targets need it: build for a wasm32 target",
    },
    Proposal {
        features: WasmFeatures::STACK_SWITCHING,
        name: "stack switching",
        needed_by: "compilers use it for coroutines: build without it",
    },
    Proposal {
        features: WasmFeatures::WIDE_ARITHMETIC,
        name: "wide arithmetic",
        needed_by: "compilers use it for 128-bit integers: build without the target feature `wide-arithmetic`",
    },
    Proposal {
        features: WasmFeatures::CUSTOM_PAGE_SIZES,
        name: "custom page sizes",
        needed_by: "programs for small devices use it: build with pages of 64 KiB",
    },
    Proposal {
        features: WasmFeatures::CM_ASYNC,
        name: "asynchronous components",
        needed_by: "WASI 0.3 and asynchronous exports need it: build for WASI 0.2 with synchronous exports",
    },
];

/// Returns the proposals that a component or core module needs and this host does not offer, with a remedy for each.
pub(super) fn needed(bytes: &[u8]) -> Option<String> {
    let all = WasmFeatures::all();
    let is_valid_without =
        |features| Validator::new_with_features(all.difference(features)).validate_all(bytes).is_ok();
    if !is_valid_without(WasmFeatures::empty()) {
        return None;
    }
    let is_needed = |proposal: &&Proposal| !is_valid_without(proposal.features);
    let found: Vec<_> = NOT_OFFERED.iter().filter(is_needed).map(describe).collect();
    (!found.is_empty()).then(|| format!("needs what this host does not offer: {}", found.join("; ")))
}

fn describe(Proposal { name, needed_by, .. }: &Proposal) -> String {
    format!("the WebAssembly proposal \"{name}\" ({needed_by})")
}
