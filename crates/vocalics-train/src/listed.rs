//! A list of recordings as protocols split it: who is in it, and which of them are the same file.

use std::collections::BTreeMap;

use vocalics_corpora::{CorpusError, Fold, Protocol, SplitOptions, Utterance};

/// BLAKE3 of all bytes of a file.
pub type Content = [u8; 32];

/// Recordings, their classes and what their files hold, in one order.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// The recordings.
    pub utterances: &'a [Utterance],
    /// Class of each.
    pub classes: &'a [usize],
    /// What the file of each holds; empty where they come from no files.
    pub contents: &'a [Content],
}

impl Listed<'_> {
    /// The folds of a protocol. Recordings whose files are equal byte for byte stay on one side, whatever they are called and whoever is said
    /// to speak ([`Protocol::folds_with_duplicates`]).
    ///
    /// # Errors
    /// As [`Protocol::folds`].
    pub fn folds(
        &self,
        protocol: &Protocol,
        options: &SplitOptions,
    ) -> Result<Vec<Fold>, CorpusError> {
        let copies = copies(self.contents);
        protocol.folds_with_duplicates(self.utterances, self.classes, options, &copies)
    }
}

/// The recordings whose files are equal: groups of at least two, by the first of each.
fn copies(contents: &[Content]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&Content, Vec<usize>> = BTreeMap::new();
    for (index, content) in contents.iter().enumerate() {
        groups.entry(content).or_default().push(index);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|it| it.len() > 1).collect();
    groups.sort();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_are_found_and_others_are_not() {
        let contents = [7, 1, 7, 0, 1, 7, 9].map(|file| [file; 32]);
        assert_eq!(copies(&contents), [vec![0, 2, 5], vec![1, 4]]);
        assert!(copies(&[]).is_empty());
    }
}
