//! Against two bugs that made results in a prototype: randomness that followed the place of a
//! text in the list (members came first: similarity had an AUC of .93 where the truth was .5), and
//! ranks taken within the group under test (.50 where the truth was .65).

use std::collections::HashMap;

use super::*;
use crate::suites::Suite;

/// Round-off of matrix products that are shared with other texts.
const ROUND_OFF: f64 = 1e-4;

fn subject() -> Subject {
    let suite = Suite::load("smoke").unwrap();
    Subject::load(&suite.targets[0], &suite).unwrap()
}

fn value(row: &Row, signal: Signal) -> f64 {
    row[&signal].expect("inversions that stayed finite")
}

#[test]
fn a_text_has_the_same_signals_wherever_it_stands() {
    let subject = subject();
    let settings = Settings { restarts: 2, steps: 4, ..Settings::default() };
    let reader = Reader::new(&subject, &subject.model, &settings).unwrap();
    let of = |group| subject.groups()[&group][..20].to_vec();
    let members_first = [of(Group::Member), of(Group::NonMember)].concat();
    let members_last = [of(Group::NonMember), of(Group::Member)].concat();
    let mixed: Vec<Query> =
        of(Group::Member).into_iter().zip(of(Group::NonMember)).flat_map(|(m, n)| [n, m]).collect();
    let read = |texts: &[Query]| -> HashMap<String, Row> {
        let ids = texts.iter().map(|text| text.id.clone());
        ids.zip(reader.rows(texts).unwrap().0).collect()
    };
    let first = read(&members_first);
    for other in [read(&members_last), read(&mixed)] {
        for (id, row) in &first {
            for signal in [SIMILARITY.signal(), VARIABILITY.signal()] {
                let (a, b) = (value(row, signal), value(&other[id], signal));
                assert!((a - b).abs() < ROUND_OFF, "{id}: {signal:?} is {a} and {b}");
            }
        }
    }
    // The tolerance could tell: texts differ by more than that.
    let similarity = |id: &str| value(&first[id], SIMILARITY.signal());
    let distinct = (similarity(&members_first[0].id) - similarity(&members_first[20].id)).abs();
    assert!(distinct > 10.0 * ROUND_OFF, "{distinct}");
}

/// Rows on a circle, so that detectors have something to look at.
fn rows(count: usize, centre: f64) -> Vec<Row> {
    (0..count)
        .map(|i| {
            let angle = i as f64;
            Row::from([
                (SIMILARITY.signal(), Some(centre + angle.sin() * (1.0 + i as f64 / 9.0))),
                (VARIABILITY.signal(), Some(centre + angle.cos())),
            ])
        })
        .collect()
}

#[test]
fn a_texts_vote_and_p_value_do_not_depend_on_its_group() {
    let reference = rows(40, 0.0);
    let texts = rows(12, 1.0);
    let scored = |groups: BTreeMap<Group, Vec<Row>>| {
        let signed = [(SIMILARITY.signal(), 1.0), (VARIABILITY.signal(), 1.0)];
        let calibrated = calibrated(&signed, &reference, &groups, 0).unwrap();
        let probe = Probe {
            groups,
            gibberish: reference.clone(),
            names: Vec::new(),
            cost: Cost::default(),
        };
        let voted = ensemble("vote", &probe, &probe.gibberish, 0, true).unwrap();
        let of = |groups: &BTreeMap<Group, Column>| -> Vec<Column> {
            groups.values().cloned().collect()
        };
        voted.iter().map(|reading| of(&reading.groups)).chain([of(&calibrated)]).collect::<Vec<_>>()
    };
    let together = scored(BTreeMap::from([(Group::Member, texts.clone())]));
    let apart = scored(BTreeMap::from([
        (Group::Member, texts[..5].to_vec()),
        (Group::NonMember, texts[5..].to_vec()),
    ]));
    for (together, apart) in together.iter().zip(&apart) {
        let joined: Vec<Option<f64>> = apart.iter().flat_map(|c| c.scores.clone()).collect();
        assert_eq!(together[0].scores, joined);
        let distinct: std::collections::BTreeSet<u64> =
            joined.iter().flatten().map(|score| score.to_bits()).collect();
        assert!(distinct.len() > 6, "scores that are all alike would show nothing");
    }
}
