//! Character n-grams within words, weighted by TF-IDF, as scikit-learn's
//! `TfidfVectorizer(analyzer="char_wb")`: lower-cased; each word padded with one space on either
//! side; counts times `ln((1 + n) / (1 + documents)) + 1`; rows scaled to length 1.

use std::collections::BTreeMap;

use ndarray::Array2;

use crate::error::{BaselineError, Result};

/// Which n-grams are features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ngrams {
    pub(crate) shortest: usize,
    pub(crate) longest: usize,
    /// Training texts that an n-gram must stand in.
    pub(crate) min_documents: usize,
}

/// A sparse row: columns in rising order with their values.
pub(crate) type SparseRow = Vec<(usize, f64)>;

/// A vocabulary with its weights, fitted on training texts.
#[derive(Debug, Clone)]
pub(crate) struct TfIdf {
    ngrams: Ngrams,
    /// Column and inverse document frequency of each n-gram; columns are in n-gram order.
    vocabulary: BTreeMap<String, (usize, f64)>,
}

impl TfIdf {
    pub(crate) fn fit<S: AsRef<str>>(ngrams: Ngrams, texts: &[S]) -> Result<Self> {
        let mut documents: BTreeMap<String, usize> = BTreeMap::new();
        for text in texts {
            for ngram in counts(ngrams, text.as_ref()).into_keys() {
                *documents.entry(ngram).or_default() += 1;
            }
        }
        let min_documents = ngrams.min_documents;
        let weight = |d: usize| ((1 + texts.len()) as f64 / (1 + d) as f64).ln() + 1.0;
        let vocabulary: BTreeMap<_, _> = documents
            .into_iter()
            .filter(|(_, documents)| *documents >= min_documents)
            .enumerate()
            .map(|(column, (ngram, documents))| (ngram, (column, weight(documents))))
            .collect();
        if vocabulary.is_empty() {
            return Err(BaselineError::EmptyVocabulary { texts: texts.len(), min_documents });
        }
        Ok(Self { ngrams, vocabulary })
    }

    /// A text's row; without a known n-gram it is empty.
    pub(crate) fn row(&self, text: &str) -> SparseRow {
        let mut row: SparseRow = counts(self.ngrams, text)
            .into_iter()
            .filter_map(|(ngram, count)| {
                let (column, weight) = self.vocabulary.get(&ngram)?;
                Some((*column, count as f64 * weight))
            })
            .collect();
        let norm = row.iter().map(|(_, value)| value * value).sum::<f64>().sqrt();
        for (_, value) in &mut row {
            *value /= norm;
        }
        row
    }

    #[cfg(test)]
    pub(crate) fn columns(&self) -> Vec<&str> {
        self.vocabulary.keys().map(String::as_str).collect()
    }
}

/// Inner product of two sparse rows.
pub(crate) fn dot(a: &SparseRow, b: &SparseRow) -> f64 {
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while let (Some((column_a, value_a)), Some((column_b, value_b))) = (a.get(i), b.get(j)) {
        if column_a == column_b {
            sum += value_a * value_b;
        }
        i += usize::from(column_a <= column_b);
        j += usize::from(column_b <= column_a);
    }
    sum
}

/// Inner products of each row of one list with each of another.
pub(crate) fn inner_products(rows: &[SparseRow], others: &[SparseRow]) -> Array2<f64> {
    let product = |(i, j): (usize, usize)| dot(&rows[i], &others[j]);
    Array2::from_shape_fn((rows.len(), others.len()), product)
}

/// How often each n-gram stands in a text. As in scikit-learn, a padded word that is shorter than
/// n counts once as a whole, and not again for every larger n.
fn counts(ngrams: Ngrams, text: &str) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for word in text.to_lowercase().split_whitespace() {
        let word: Vec<char> = format!(" {word} ").chars().collect();
        for n in ngrams.shortest..=ngrams.longest {
            if n >= word.len() {
                *counts.entry(word.iter().collect()).or_default() += 1;
                break;
            }
            for window in word.windows(n) {
                *counts.entry(window.iter().collect()).or_default() += 1;
            }
        }
    }
    counts
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    const ALL: Ngrams = Ngrams { shortest: 1, longest: 4, min_documents: 1 };

    #[test]
    fn n_grams_stay_within_padded_words() {
        let found = counts(Ngrams { shortest: 2, longest: 3, min_documents: 1 }, "Al  B");
        let found: Vec<(&str, usize)> = found.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        // " b " is as long as n = 3 and counts once.
        let expected =
            [(" a", 1), (" al", 1), (" b", 1), (" b ", 1), ("al", 1), ("al ", 1), ("b ", 1)];
        let mut expected = expected.to_vec();
        expected.push(("l ", 1));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_text_without_known_n_grams_is_an_empty_row() {
        let fitted = TfIdf::fit(Ngrams { shortest: 2, ..ALL }, &["ab", "ab"]).expect("fits");
        assert!(fitted.row("xyz").is_empty());
        assert!(fitted.row("").is_empty());
        assert_eq!(dot(&fitted.row("ab"), &fitted.row("xyz")), 0.0);
    }

    #[test]
    fn too_rare_n_grams_leave_nothing() {
        let result = TfIdf::fit(Ngrams { shortest: 3, min_documents: 2, ..ALL }, &["ab", "cd"]);
        assert!(matches!(result, Err(BaselineError::EmptyVocabulary { texts: 2, .. })));
    }
}
