//! Decides which core instances become one.
//!
//! Each core instance has a level. An instance that imports an item of another one can be on the same level, because the
//! merged module resolves the import. An instance that depends on another one through a function of the component, such
//! as a lowered function with a memory, is on a higher level: the component must make this function between the two.
//! All mergeable instances of a level become one. The component instantiates the levels in ascending order.
//!
//! The components that `wit-component` makes therefore keep two modules: the merged one, and a fixup that fills a table
//! with lowered functions. The alternative is a module with only the memory, so that the merged module can import the
//! lowered functions. It was measured and saves nothing with 20 functions, and 1 of 14 us with 138.

use std::collections::HashMap;

use super::{
    graph::{Graph, Item},
    module::Module,
    reason::NotMerged,
};

/// Core instances that become one, or a single core instance that stays.
pub(super) struct Group {
    /// The nodes, in the order of instantiation.
    pub(super) nodes: Vec<usize>,
    /// Index of the core instance whose place the group takes. All definitions that the group needs precede it.
    pub(super) place: usize,
}

/// Returns the groups in the order of instantiation.
pub(super) fn find(graph: &Graph<'_>) -> Vec<Group> {
    let mut groups: Vec<(usize, Group)> = Vec::new();
    let levels = levels(graph);
    for (node, level) in levels.iter().enumerate() {
        let place = graph.nodes[node].instance;
        let group = groups
            .iter_mut()
            .find(|(other, group)| other == level && is_mergeable(graph, node) && is_mergeable(graph, group.nodes[0]));
        match group {
            Some((_, group)) => {
                group.nodes.push(node);
                group.place = place;
            }
            None => groups.push((*level, Group { nodes: vec![node], place })),
        }
    }
    groups.sort_by_key(|(level, _)| *level);
    let mut last = 0;
    for (_, group) in &mut groups {
        last = last.max(group.place);
        group.place = last;
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Returns the reason why no core instances of a component become one.
pub(super) fn obstacle(graph: &Graph<'_>) -> NotMerged {
    let any = |condition: fn(&Module<'_>) -> bool| graph.modules.iter().any(condition);
    if any(|module| module.has_start) {
        NotMerged::Start
    } else if any(|module| module.instances > 1) {
        NotMerged::Instances
    } else {
        NotMerged::Single
    }
}

fn is_mergeable(graph: &Graph<'_>, node: usize) -> bool {
    let module = graph.module(node);
    module.instances == 1 && !module.has_start
}

fn levels(graph: &Graph<'_>) -> Vec<usize> {
    let mut levels: Vec<usize> = Vec::new();
    // The last node that writes to a table or memory when it is instantiated.
    let mut writers: HashMap<Item, usize> = HashMap::new();
    let (mut lowest, mut barriers) = (0, 0);
    for (node, definition) in graph.nodes.iter().enumerate() {
        if definition.barriers > barriers {
            barriers = definition.barriers;
            lowest = levels.iter().max().map_or(0, |highest| highest + 1);
        }
        let mut level = lowest;
        let above = |other: usize| levels[other] + 1;
        let beside = |other: usize| match is_mergeable(graph, node) && is_mergeable(graph, other) {
            true => levels[other],
            false => above(other),
        };
        for import in &definition.imports {
            match *import {
                Item::Defined(other, ..) => level = level.max(beside(other)),
                Item::Canonical(canonical) => {
                    for item in &graph.canonicals[canonical].uses {
                        if let Item::Defined(other, ..) = *item {
                            level = level.max(above(other));
                        }
                    }
                }
            }
        }
        // Two nodes that write to the same item keep their order.
        for (space, index) in &graph.module(node).written {
            let item = graph.item(node, *space, *index);
            if let Some(other) = writers.insert(item, node).filter(|other| *other != node) {
                level = level.max(beside(other));
            }
        }
        levels.push(level);
    }
    levels
}
