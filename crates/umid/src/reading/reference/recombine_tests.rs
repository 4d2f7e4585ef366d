//! Tests of new names from known parts, and a simulation of what parts that recur cost.

use rand_distr::StandardNormal;

use super::*;

fn owned(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{prefix}{i}")).collect()
}

fn two_part(first: &str, last: &str) -> Query {
    Query {
        id: format!("{first}{last}"),
        text: format!("{first} {last}"),
        parts: Some((first.into(), last.into())),
    }
}

fn one_part(text: &str) -> Query {
    Query { id: text.into(), text: text.into(), parts: None }
}

fn queries(count: usize) -> Vec<Query> {
    (0..count).map(|i| two_part(&format!("F{i}"), &format!("L{i}"))).collect()
}

#[test]
fn names_are_new_distinct_and_do_not_depend_on_the_count() {
    let (firsts, lasts) = (owned("F", 8), owned("L", 8));
    let exclude = [two_part("f0", "l0"), two_part("F1", "L1")];
    let some = recombined(3, 31, &firsts, &lasts, &exclude).unwrap();
    let keys: HashSet<String> = some.texts.iter().map(|q| name_key(&q.text)).collect();
    assert_eq!(keys.len(), 31);
    assert!(!keys.contains("f0 l0") && !keys.contains("f1 l1"));
    let (first, last) = some.texts[4].parts.clone().unwrap();
    assert_eq!(some.texts[4].text, format!("{first} {last}"));
    let fewer = recombined(3, 10, &firsts, &lasts, &exclude).unwrap();
    assert_eq!(some.texts[..10], fewer.texts);
    assert_ne!(some.digest(), fewer.digest());
    assert_ne!(recombined(4, 31, &firsts, &lasts, &exclude).unwrap().digest(), some.digest());
}

#[test]
fn an_excluded_name_moves_no_other_item_of_a_large_list() {
    let (firsts, lasts) = (NameList::First.names(), NameList::Last.names());
    let free = recombined(0, 200, &firsts, &lasts, &[]).unwrap();
    let without = recombined(0, 200, &firsts, &lasts, &[free.texts[50].clone()]).unwrap();
    let moved: Vec<usize> = (0..200).filter(|&i| free.texts[i] != without.texts[i]).collect();
    assert_eq!(moved, [50]);
}

#[test]
fn own_parts_of_more_queries_are_drawn_more_often_and_rare_ones_end_the_draw() {
    let of_anns = |anns: usize, others: usize, count: usize| {
        let mut list = queries(others);
        list.extend((0..anns).map(|i| two_part("Ann", &format!("L{}", i % (others / 2)))));
        choose_reference(0, ReferenceSize::exactly(count), &list).unwrap().texts
    };
    let half = of_anns(50, 50, 100);
    let anns = half.iter().filter(|q| q.text.starts_with("Ann ")).count();
    // Half of the first parts are Ann, and a quarter of the last ones make no query with it.
    assert!((10..=30).contains(&anns), "{anns}");
    assert_eq!(of_anns(10_000, 12, 50).len(), 50);
}

/// Distinct first and last parts.
fn recurring(reference: &ReferenceTexts) -> [usize; 2] {
    let side = |side: fn(&(String, String)) -> &String| {
        let parts = reference.texts.iter().map(|name| side(name.parts.as_ref().unwrap()));
        parts.collect::<HashSet<_>>().len()
    };
    [side(|parts| &parts.0), side(|parts| &parts.1)]
}

#[test]
fn names_of_given_parts_are_made_of_few_that_recur() {
    let lists = (NameList::First.names(), NameList::Last.names());
    let of = |seed, count| recombined(seed, count, &lists.0, &lists.1, &[]).unwrap();
    for (count, parts) in [(600, 100), (1200, 200), (5000, 834)] {
        let found = recurring(&of(0, count));
        assert!(found.iter().all(|n| (parts * 8 / 10..=parts).contains(n)), "{count}: {found:?}");
    }
    // A longer one starts with the shorter one, also beyond what the fewest parts give.
    assert_eq!(of(0, 2000).texts[..700], of(0, 700).texts);
    let first_parts = |seed| -> HashSet<String> {
        of(seed, 100).texts.into_iter().map(|name| name.parts.unwrap().0).collect()
    };
    assert!(first_parts(0).intersection(&first_parts(1)).count() < 30);
    // Queries that leave none of the recurring parts' combinations free.
    let taken = of(0, 600).texts;
    let taken: HashSet<(String, String)> = taken.into_iter().map(|n| n.parts.unwrap()).collect();
    let (firsts, lasts): (HashSet<_>, HashSet<_>) = taken.into_iter().unzip();
    let all: Vec<Query> =
        firsts.iter().flat_map(|f| lasts.iter().map(move |l| two_part(f, l))).collect();
    assert!(all.len() > 9_000, "{}", all.len());
    let others = recombined(0, 600, &lists.0, &lists.1, &all).unwrap();
    assert!(keys(&others.texts).is_disjoint(&keys(&all)));
}

/// Rates of false positives at the levels 5 % and 1 % and the smallest p-value but one, over
/// references of `count` names and queries of other parts, where so large shares of a score's
/// variance are those of its first and of its last part; and how far the first varies.
fn false_positive_rates(
    count: usize,
    shares: [f64; 2],
    references: u64,
    draw: impl Fn(u64) -> ReferenceTexts,
) -> [(f64, f64); 4] {
    let mut random = stream(7, "scores", count);
    let mut normal = || -> f64 { random.sample(StandardNormal) };
    let mut queries: Vec<f64> = (0..100_000).map(|_| normal()).collect();
    queries.sort_by(f64::total_cmp);
    let rest = (1.0 - shares[0] - shares[1]).sqrt();
    let calibrating = count * 2 / 3;
    let levels = [0.05, 0.01, 2.0 / (calibrating + 1) as f64];
    let mut sums = [(0.0, 0.0); 3];
    for seed in 0..references {
        let mut effects: [BTreeMap<String, f64>; 2] = Default::default();
        let names = draw(seed).texts;
        let mut scores: Vec<f64> = names[count - calibrating..]
            .iter()
            .map(|name| {
                let (first, last) = name.parts.clone().unwrap();
                let first = *effects[0].entry(first).or_insert_with(&mut normal);
                let last = *effects[1].entry(last).or_insert_with(&mut normal);
                shares[0].sqrt() * first + shares[1].sqrt() * last + rest * normal()
            })
            .collect();
        scores.sort_by(f64::total_cmp);
        for (level, sum) in levels.iter().zip(&mut sums) {
            // A p-value is at most the level where fewer names than this score as high.
            let names = (level * (calibrating + 1) as f64 + 1e-9) as usize;
            let threshold = scores[calibrating - names];
            let above = queries.len() - queries.partition_point(|q| *q <= threshold);
            let rate = above as f64 / queries.len() as f64;
            *sum = (sum.0 + rate, sum.1 + rate * rate);
        }
    }
    let n = references as f64;
    let of = |i: usize| (levels[i], sums[i].0 / n);
    let deviation = (sums[0].1 / n - (sums[0].0 / n).powi(2)).sqrt();
    [of(0), of(1), of(2), (0.0, deviation)]
}

/// The rule of [`FEWEST_PARTS`] and [`NAMES_A_PART`], where parts decide up to 70 % of a score.
/// With `--nocapture` it prints the table of `docs/method.md`.
#[test]
#[expect(clippy::print_stdout, reason = "the table of the documentation")]
fn parts_that_recur_keep_the_error_rate() {
    let lists = (NameList::First.names(), NameList::Last.names());
    let all = Parts::new(
        lists.0.iter().map(String::as_str).collect(),
        lists.1.iter().map(String::as_str).collect(),
    );
    println!("| names | parts | at 5 % | deviation | at 1 % | at the second p-value |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let rates = |kind: &str, count, of: &dyn Fn(u64) -> ReferenceTexts| {
        let [(_, five), (_, one), (level, second), (_, deviation)] =
            false_positive_rates(count, [0.3, 0.4], (240_000 / count) as u64, of);
        println!(
            "| {count} | {kind} | {:.2} % | {:.2} | {:.2} % | {:.3} % at {:.3} % |",
            100.0 * five,
            100.0 * deviation,
            100.0 * one,
            100.0 * second,
            100.0 * level
        );
        (five, one)
    };
    for count in [600, 2000] {
        let recurring = |seed| recombined(seed, count, &lists.0, &lists.1, &[]).unwrap();
        let (five, one) = rates("that recur", count, &recurring);
        assert!((0.047..0.053).contains(&five), "{count}: {five}");
        assert!((0.0085..0.0115).contains(&one), "{count}: {one}");
        let any = |seed| ReferenceTexts {
            texts: all.draw(seed, "any", count, &HashSet::new()),
            description: String::new(),
            warnings: Vec::new(),
        };
        rates("of the whole lists", count, &any);
    }
    // So few parts would not do.
    let few = |seed| recombined(seed, 180, &lists.0[..20], &lists.1[..20], &[]).unwrap();
    let (five, _) = rates("20 that recur", 180, &few);
    assert!(five > 0.054, "{five}");
}

#[test]
fn own_parts_are_chosen_when_there_are_enough() {
    let reference = choose_reference(0, ReferenceSize::exactly(50), &queries(40)).unwrap();
    assert!(reference.description.contains("queries' own"));
    assert!(reference.warnings.is_empty());
    assert!(reference.texts.iter().all(|q| q.text.starts_with('F') && q.text.contains(" L")));
    let asked = keys(&queries(40));
    assert!(reference.texts.iter().all(|q| !asked.contains(&name_key(&q.text))));

    // Names of another form do not change which of these are drawn.
    let mut mixed = queries(40);
    mixed.extend((0..30).map(|i| one_part(&format!("Mono{i}"))));
    let with_others = choose_reference(0, ReferenceSize::exactly(50), &mixed).unwrap();
    assert_eq!(with_others.texts, reference.texts);
    let [warning] = &with_others.warnings[..] else { panic!("{:?}", with_others.warnings) };
    assert!(warning.starts_with("30 of 70 queries are names of 1 word"), "{warning}");
}

#[test]
fn the_order_of_the_queries_does_not_matter() {
    let mut list = queries(40);
    // Parts that repeat, that differ in case alone, names of another form, a name twice.
    list.extend(["F1", "f1", "F2", "é", "e\u{301}"].map(|first| two_part(first, "L1")));
    list.extend((0..20).map(|i| one_part(&format!("G{i} van H{i}"))));
    list.push(two_part("F1", "L1"));
    let reference = choose_reference(0, ReferenceSize::exactly(60), &list).unwrap();
    for shift in [1, 13, 50] {
        list.rotate_left(shift);
        list.swap(0, 30);
        assert_eq!(choose_reference(0, ReferenceSize::exactly(60), &list).unwrap(), reference);
    }
    list.reverse();
    assert_eq!(choose_reference(0, ReferenceSize::exactly(60), &list).unwrap(), reference);
    list.retain(|query| query.text != "F5 L5");
    assert_ne!(
        choose_reference(0, ReferenceSize::exactly(60), &list).unwrap().texts,
        reference.texts
    );
}

#[test]
fn names_of_three_words_are_recombined_as_first_word_and_rest() {
    let mut mixed = queries(40);
    mixed.extend((0..20).map(|i| one_part(&format!("G{i} van H{i}"))));
    let reference = choose_reference(0, ReferenceSize::exactly(50), &mixed).unwrap();
    assert!(reference.warnings.is_empty(), "{:?}", reference.warnings);
    assert_eq!(
        reference.texts[..50],
        choose_reference(0, ReferenceSize::exactly(50), &queries(40)).unwrap().texts
    );
    let (asked, long) = (keys(&mixed), &reference.texts[50..]);
    assert_eq!(long.len(), 50);
    for name in long {
        assert_eq!(name.text.split(" van H").count(), 2, "{}", name.text);
        assert!(name.parts.is_none() && !asked.contains(&name_key(&name.text)));
    }
    assert_eq!(reference.texts[99].id, "100");
    // Given parts are kept.
    let given: Vec<Query> =
        (0..20).map(|i| two_part(&format!("Mary G{i}"), &format!("H{i}"))).collect();
    let reference = choose_reference(0, ReferenceSize::exactly(50), &given).unwrap();
    assert!(reference.texts.iter().all(|name| Form::of(name) == Form::of(&given[0])));
}

#[test]
fn each_form_of_name_is_drawn_in_its_own_form_or_not_at_all() {
    let whole = |text: &str| Query { parts: None, ..one_part(text) };
    let name = |i: usize| -> [(&str, Query); 6] {
        [
            ("1 + 1", two_part(&format!("A{i}"), &format!("B{i}"))),
            ("1 + 2", two_part(&format!("A{i}"), &format!("van B{i}"))),
            ("2 + 1", two_part(&format!("Mary A{i}"), &format!("B{i}"))),
            ("3 whole", whole(&format!("A{i} van B{i}"))),
            ("2 whole", whole(&format!("A{i} B{i}"))),
            ("1 whole", whole(&format!("A{i}"))),
        ]
    };
    for (at, (what, example)) in name(0).into_iter().enumerate() {
        let list: Vec<Query> = (0..20).map(|i| name(i)[at].1.clone()).collect();
        let reference = choose_reference(0, ReferenceSize::exactly(50), &list).unwrap();
        assert_eq!(reference.texts.len(), 50, "{what}");
        let (own, form) = (what != "2 whole" && what != "1 whole", Form::of(&example));
        let drawn = if own { form } else { Form::TWO_WORDS };
        assert!(reference.texts.iter().all(|name| Form::of(name) == drawn), "{what}");
        assert_eq!(form.is_ranked_among(drawn), what != "1 whole", "{what}");
        assert_eq!(reference.warnings.is_empty(), own, "{what}: {:?}", reference.warnings);
    }
}

#[test]
fn too_large_a_count_of_own_parts_is_cut_with_a_warning() {
    let reference = choose_reference(0, ReferenceSize::exactly(1000), &queries(12)).unwrap();
    assert_eq!(reference.texts.len(), (12 * 12 - 12) / 2);
    assert!(reference.warnings[0].contains("1.49e-2"), "{:?}", reference.warnings);
}

#[test]
fn bundled_names_are_chosen_otherwise_with_a_warning() {
    for list in [queries(11), vec![one_part("Cher")], vec![one_part("Star Wars")]] {
        let reference = choose_reference(0, ReferenceSize::exactly(200), &list).unwrap();
        assert_eq!(reference.texts.len(), 200);
        assert!(reference.description.contains("bundled"));
        assert!(reference.warnings[0].contains("give a file of plausible names"));
    }
}

#[test]
fn too_few_parts_error() {
    let same = vec!["Ann".to_owned(), "ANN".to_owned()];
    let error = recombined(0, 10, &same, &owned("L", 90), &[]).unwrap_err();
    let wanted = matches!(error, ReferenceError::TooFewParts { side: "first", found: 1, .. });
    assert!(wanted, "{error}");
    let error = recombined(0, 10, &owned("F", 90), &[], &[]).unwrap_err();
    assert!(matches!(error, ReferenceError::TooFewParts { side: "last", found: 0, .. }), "{error}");
}

#[test]
fn too_few_combinations_error() {
    let error = recombined(0, 51, &owned("F", 10), &owned("L", 10), &[]).unwrap_err();
    let wanted = matches!(error, ReferenceError::TooFewCombinations { asked: 51, possible: 50 });
    assert!(wanted, "{error}");
}

#[test]
fn the_default_grows_so_that_one_member_alone_can_be_detected() {
    let names = |queries| ReferenceSize::for_list(queries, 0.05).names;
    assert_eq!([1, 10, 20].map(names), [600; 3]);
    // 50 names at 5 % need a p-value of 1/1,000 or less: 1,000 names to rank among.
    assert_eq!(names(50), 1_500);
    assert_eq!([75, 100, 2_000].map(names), [2_000; 3]);
    assert_eq!([3_000, 20_000, 1_000_000].map(names), [3_000, 20_000, 20_000]);
    assert_eq!(ReferenceSize::for_list(10, 1e-12).names, 2_000);
    // A short list of own parts is not warned of what a longer reference would add.
    let size = ReferenceSize { names: 2_000, enough: 600 };
    let reference = choose_reference(0, size, &queries(40)).unwrap();
    assert!((600..2_000).contains(&reference.texts.len()), "{}", reference.texts.len());
    assert!(reference.warnings.is_empty(), "{:?}", reference.warnings);
}
