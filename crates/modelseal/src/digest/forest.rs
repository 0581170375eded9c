//! A hash tree computed in pieces: the nodes of one range of a file, merged with its neighbours' afterwards.

/// One node of a tree of SHA-256 or BLAKE3 hashes.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Levels above the leaves.
    pub(super) level: u32,
    /// Counts the nodes of this level from the start of the file.
    pub(super) index: u64,
    pub(super) hash: [u8; 32],
}

/// The topmost known nodes of a range, in order, without gaps.
///
/// Siblings are merged once all of them are known, so a forest stays at most a few groups of siblings deep per
/// level, whatever the range. Merging waits until another node follows: the last group may be the root's, and a root
/// is not hashed like other nodes.
#[derive(Clone, Debug)]
pub(super) struct Forest {
    /// A node has 2 to the power of this many children.
    arity_log2: u32,
    parent: fn(&[Node]) -> [u8; 32],
    nodes: Vec<Node>,
}

impl Forest {
    pub(super) fn new(arity_log2: u32, parent: fn(&[Node]) -> [u8; 32]) -> Self {
        Self { arity_log2, parent, nodes: Vec::new() }
    }

    /// Adds the node that follows the last one.
    pub(super) fn push(&mut self, node: Node) {
        self.merge_complete();
        self.nodes.push(node);
    }

    /// Adds the forest of the range that follows.
    pub(super) fn append(&mut self, next: Self) {
        for node in next.nodes {
            self.push(node);
        }
    }

    pub(super) fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// The root of a tree in which a group of siblings may be short: each level is grouped on its own until one node
    /// is left. `None` if there is no node.
    pub(super) fn into_root(mut self) -> Option<[u8; 32]> {
        loop {
            let last = self.nodes.last()?;
            if self.nodes.len() == 1 {
                return Some(last.hash);
            }
            let (level, index) = (last.level, last.index);
            let lower = self.nodes.iter().rposition(|node| node.level != level);
            let siblings = self.nodes.split_off(lower.map_or(0, |position| position + 1));
            let hash = (self.parent)(&siblings);
            self.push(Node { level: level + 1, index: index >> self.arity_log2, hash });
        }
    }

    /// Replaces the last nodes by their parent as long as they are all of its children.
    fn merge_complete(&mut self) {
        while let Some((start, parent)) = self.complete() {
            self.nodes.truncate(start);
            self.nodes.push(parent);
        }
    }

    /// Where the last complete group of siblings starts, and its parent.
    fn complete(&self) -> Option<(usize, Node)> {
        let start = self.nodes.len().checked_sub(1 << self.arity_log2)?;
        let siblings = self.nodes.get(start..)?;
        let (first, last) = (siblings.first()?, siblings.last()?);
        // Nodes follow each other without gaps: the first and the last child, so many nodes apart, prove the others.
        let last_child = (1 << self.arity_log2) - 1;
        let complete = first.level == last.level
            && first.index & last_child == 0
            && last.index == first.index | last_child;
        let parent = || Node {
            level: first.level + 1,
            index: first.index >> self.arity_log2,
            hash: (self.parent)(siblings),
        };
        complete.then(|| (start, parent()))
    }
}
