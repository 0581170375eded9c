//! PEM files as people keep them: several blocks, text before and between them (RFC 7468, section 2).

/// One `-----BEGIN label----- ... -----END label-----`.
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    /// The block with its boundaries, as a decoder wants it.
    pub(crate) text: &'a str,
}

/// The blocks of a text, in order. Text around them is ignored; a block without its end ends the search.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once(BEGIN) {
        let Some((label, _)) = begun.split_once("-----") else { break };
        let end = format!("-----END {label}-----");
        let Some(length) = begun.find(&end).and_then(|at| at.checked_add(end.len())) else { break };
        let start = rest.len() - begun.len() - BEGIN.len();
        if let Some(text) = rest.get(start..start + BEGIN.len() + length) {
            blocks.push(Block { label, text });
        }
        let Some(after) = begun.get(length..) else { break };
        rest = after;
    }
    blocks
}

const BEGIN: &str = "-----BEGIN ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_around_blocks_is_ignored() {
        let text = "Certificate:\n  Data\n-----BEGIN A-----\nAAAA\n-----END A-----\nmore\n-----BEGIN B C-----\nBBBB\n-----END B C-----\n";
        let found: Vec<(&str, &str)> = blocks(text).iter().map(|block| (block.label, block.text)).collect();
        assert_eq!(
            found,
            [
                ("A", "-----BEGIN A-----\nAAAA\n-----END A-----"),
                ("B C", "-----BEGIN B C-----\nBBBB\n-----END B C-----")
            ]
        );
    }

    #[test]
    fn a_block_needs_its_own_end() {
        assert!(blocks("-----BEGIN A-----\nAAAA\n-----END B-----\n").is_empty());
        assert!(blocks("-----BEGIN A").is_empty());
        assert!(blocks("").is_empty());
    }
}
