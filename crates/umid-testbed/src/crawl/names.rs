//! Names of a crawl: parts by Zipf's law, some of them of other scripts.

use std::collections::HashSet;

use super::{CrawlParams, ZIPF_OFFSET};
use crate::error::Error;
use crate::names::{Name, NameForm, NameLists, distinct};
use crate::stream::{Purpose, Stream};

/// First and last names, each part as frequent as its rank says. Which part has which rank follows
/// from the seed.
pub(crate) struct CrawlNames {
    latin: [Ranked; 2],
    other: [Ranked; 2],
    other_scripts: f32,
    form: NameForm,
}

impl CrawlNames {
    pub(crate) fn new(params: &CrawlParams, lists: &NameLists, form: NameForm, seed: u64) -> Self {
        let other = NameLists::of_other_scripts();
        let ranked = |lists: &NameLists, from: u64| {
            let parts = [lists.first(), lists.last()];
            let ranked = parts.into_iter().zip(from..).map(|(parts, list)| {
                let stream = &mut Stream::new(seed, Purpose::PartFrequency, list, 0);
                Ranked::new(parts.to_vec(), params.zipf, stream)
            });
            let ranked: Vec<Ranked> = ranked.collect();
            <[Ranked; 2]>::try_from(ranked).unwrap_or_else(|_| unreachable!("two lists"))
        };
        let (latin, other) = (ranked(lists, 0), ranked(&other, 2));
        Self { latin, other, other_scripts: params.other_scripts, form }
    }

    /// Draws different names, none of them excluded.
    ///
    /// # Errors
    /// More names than a thousand times as many attempts give.
    pub(crate) fn draw(
        &self,
        seed: u64,
        purpose: Purpose,
        count: usize,
        exclude: &HashSet<Name>,
    ) -> Result<Vec<Name>, Error> {
        let attempts = (count as u64).saturating_mul(1_000);
        let names = distinct(attempts, count, exclude, |attempt| {
            self.draw_one(&mut Stream::new(seed, purpose, attempt, 0))
        });
        if names.len() < count {
            return Err(Error::NamesExhausted { requested: count, available: names.len() });
        }
        Ok(names)
    }

    fn draw_one(&self, stream: &mut Stream) -> Name {
        let other = stream.chance(self.other_scripts);
        let [first, last] = if other { &self.other } else { &self.latin };
        self.form.compose(stream, |stream| first.draw(stream), |stream| last.draw(stream))
    }
}

/// Words with their share of all occurrences up to and with each.
struct Ranked {
    words: Vec<String>,
    cumulative: Vec<f32>,
}

impl Ranked {
    fn new(mut words: Vec<String>, zipf: f32, stream: &mut Stream) -> Self {
        stream.shuffle(&mut words);
        let mut sum = 0.0;
        let mut cumulative: Vec<f32> = (1..=words.len())
            .map(|rank| {
                sum += (rank as f32 + ZIPF_OFFSET).powf(-zipf);
                sum
            })
            .collect();
        for share in &mut cumulative {
            *share /= sum;
        }
        Self { words, cumulative }
    }

    fn draw(&self, stream: &mut Stream) -> String {
        let unit = stream.unit();
        let place = self.cumulative.partition_point(|share| *share <= unit);
        self.words[place.min(self.words.len() - 1)].clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn counts(zipf: f32) -> Vec<usize> {
        let params = CrawlParams { zipf, other_scripts: 0.0, ..CrawlParams::default() };
        let names = CrawlNames::new(&params, &NameLists::bundled(), NameForm::TwoWords, 1);
        let mut counts = BTreeMap::new();
        for i in 0..20_000 {
            let name = names.draw_one(&mut Stream::new(1, Purpose::PersonName, i, 0));
            *counts.entry(name.last).or_insert(0) += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    }

    #[test]
    fn parts_are_as_frequent_as_their_rank_says() {
        // The share of the first rank among 1,301: 5^-1 over the sum of (rank + 4)^-1.
        let expected = 20_000.0 * 0.2 / (5..1_306).map(|r| 1.0 / f64::from(r)).sum::<f64>();
        let found = counts(1.0)[0] as f64;
        assert!((found - expected).abs() < 5.0 * expected.sqrt(), "{found} for {expected}");
        assert!(counts(0.0)[0] < 40);
    }

    #[test]
    fn other_scripts_have_their_share() {
        let params = CrawlParams { other_scripts: 0.5, ..CrawlParams::default() };
        let names = CrawlNames::new(&params, &NameLists::bundled(), NameForm::TwoWords, 1);
        let drawn =
            (0..2_000).map(|i| names.draw_one(&mut Stream::new(1, Purpose::PersonName, i, 0)));
        let other = drawn.filter(|name| !name.to_string().is_ascii()).count();
        assert!(other.abs_diff(1_000) < 112, "{other}");
    }
}
