//! The bundled name lists (`datasets/names`): parts of plausible names for a reference, and
//! the sibling parts of the part-interaction residual. The lists are public and made for this
//! project; a person made of them is a chance combination.

/// One of the bundled lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameList {
    /// First parts.
    First,
    /// Last parts.
    Last,
    /// First parts that are recombined with a query's last part.
    SiblingFirst,
    /// Last parts that are recombined with a query's first part.
    SiblingLast,
}

impl NameList {
    /// The list's names in the order of its file.
    pub fn names(self) -> Vec<String> {
        let file = match self {
            Self::First => include_str!("../../../../datasets/names/first.txt"),
            Self::Last => include_str!("../../../../datasets/names/last.txt"),
            Self::SiblingFirst => include_str!("../../../../datasets/names/sibling_first.txt"),
            Self::SiblingLast => include_str!("../../../../datasets/names/sibling_last.txt"),
        };
        file.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn lists_are_large_distinct_and_of_one_word_each() {
        for (list, least) in [
            (NameList::First, 500),
            (NameList::Last, 500),
            (NameList::SiblingFirst, 16),
            (NameList::SiblingLast, 16),
        ] {
            let names = list.names();
            assert!(names.len() >= least, "{list:?}");
            let keys: HashSet<String> =
                names.iter().map(|name| crate::queries::name_key(name)).collect();
            assert_eq!(keys.len(), names.len(), "{list:?}");
            assert!(names.iter().all(|name| name.split_whitespace().count() == 1), "{list:?}");
        }
    }
}
