//! The nodes that a thread has of its own.

use std::cell::RefCell;
use std::sync::Arc;

use crate::hub::node::Node;

std::thread_local! {
    /// The nodes of this thread, each with the address of its hub.
    static HERE: RefCell<Vec<(usize, Arc<Node>)>> = const { RefCell::new(Vec::new()) };
}

/// Returns the node that this thread has in the hub at `address`, if it has one.
pub(super) fn node(address: usize) -> Option<Arc<Node>> {
    let own = HERE.try_with(|here| {
        let here = here.borrow();
        let own = here.iter().find(|(known, _)| *known == address);
        own.map(|(_, node)| Arc::clone(node))
    });
    own.ok().flatten()
}

/// Makes `node` this thread's in the hub at `address`.
pub(super) fn enter(address: usize, node: &Arc<Node>) {
    HERE.with_borrow_mut(|here| here.push((address, Arc::clone(node))));
}

/// Takes `node` from this thread.
pub(super) fn leave(node: &Arc<Node>) {
    // At the end of a thread its nodes may be gone already.
    let _ = HERE.try_with(|here| here.borrow_mut().retain(|(_, own)| !Arc::ptr_eq(own, node)));
}
