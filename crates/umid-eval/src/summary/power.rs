//! Lists of the users' kind, put together from the measured scores: how many members are detected at a
//! false discovery rate, before and after the reference grows with the list, q-values are scaled by the
//! share of non-members, and a score above the whole reference counts by the tail.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use umid_detect::{
    ConformalCalibration, ListAnswer, RankedNames, adaptive_benjamini_hochberg, benjamini_hochberg,
};

use super::results::{CALIBRATED, FALSE_DISCOVERY_RATE, Results, Which};
use crate::page::{Part, Section};
use crate::record::Group;
use crate::table::{Cell, Column, Standing, Table};

/// Names in a list.
const LENGTHS: [usize; 4] = [10, 100, 1_000, 100_000];
/// How many of them are members.
const MEMBERS: [Members; 4] =
    [Members::Nobody, Members::One, Members::Share(0.1), Members::Share(0.5)];
/// Names that calibrate in the default reference of 600.
const BEFORE: usize = 400;
/// Names of the simulated lists of a target and kind, so that short lists are many.
const NAMES_SIMULATED: usize = 40_000;
/// Most lists of a target and kind.
const MOST_LISTS: usize = 200;

/// Levels of the table of tails, sizes of its references, and how many are drawn a target.
const TAIL_LEVELS: [f64; 3] = [0.001, 0.0005, 0.0001];
const TAIL_RANKED: [usize; 3] = [400, 1_500, 5_000];
const TAIL_REFERENCES: usize = 20;

#[derive(Debug, Clone, Copy)]
enum Members {
    Nobody,
    One,
    Share(f64),
}

impl Members {
    fn of(self, names: usize) -> usize {
        match self {
            Self::Nobody => 0,
            Self::One => 1,
            Self::Share(share) => (share * names as f64).round() as usize,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Nobody => "none".to_owned(),
            Self::One => "one".to_owned(),
            Self::Share(share) => format!("{} %", 100.0 * share),
        }
    }
}

/// What a target's cell has.
struct Scores {
    members: Vec<f64>,
    nobody: Vec<f64>,
}

/// Shares over the lists of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    /// Members found, before and after.
    found: [f64; 2],
    /// False names among those detected, before and after.
    falsely: [f64; 2],
    /// Lists that are said to hold members, at 5 %.
    members_said: f64,
    /// Lists whose count of members is said to be higher than it is.
    over_counted: f64,
}

pub fn section(results: &Results<'_>) -> Option<Section> {
    let which = Which { variant: "names of nobody", ..CALIBRATED };
    let targets: Vec<Scores> = results
        .tests()
        .into_iter()
        .filter_map(|target| {
            let of = |group| Some(results.column(target, which, group).ok()?.present());
            Some(Scores { members: of(Group::Member)?, nobody: of(Group::Stranger)? })
        })
        .filter(|scores| !scores.members.is_empty() && scores.nobody.len() >= 4 * BEFORE)
        .collect();
    if targets.is_empty() {
        return None;
    }
    Some(Section {
        id: "power".to_owned(),
        title: "What a list of names gets".to_owned(),
        plain: vec![
            "A lone member among many names can be detected only if p-values can be small enough. \
             Lists are put together from the members and the names of nobody of each target that nothing was chosen on."
                .to_owned(),
        ],
        parts: vec![Part::Table(lists(&targets)), Part::Table(tails(&targets))],
        notes: Vec::new(),
    })
}

/// How often names of nobody have a small p-value by the tail.
fn tails(targets: &[Scores]) -> Table {
    let mut columns = vec![Column::numbers("Ranked among")];
    for level in TAIL_LEVELS {
        columns.push(Column::numbers(&format!("p \u{2264} {level}")));
        columns.push(Column::numbers("worst target"));
    }
    let mut table = Table::new("tails", "Beyond the reference", columns);
    "How often does a name of nobody have a small p-value by the tail of the reference's scores?"
        .clone_into(&mut table.question);
    format!(
        "Means over {} targets, in multiples of the level: 1 is right, and less is on the safe side. A \
         score above the whole reference counts by an exponential tail above the 95th percentile of \
         the reference's scores.",
        targets.len()
    )
    .clone_into(&mut table.plain);
    for ranked in TAIL_RANKED {
        let rates: Vec<[f64; TAIL_LEVELS.len()]> = targets
            .par_iter()
            .enumerate()
            .map(|(seed, scores)| tail_rates(&scores.nobody, ranked, seed as u64))
            .collect();
        let mut row = vec![Cell::Count(ranked as u64)];
        for (at, level) in TAIL_LEVELS.iter().enumerate() {
            let of: Vec<f64> = rates.iter().map(|rates| rates[at] / level).collect();
            let mean = of.iter().sum::<f64>() / of.len() as f64;
            row.push(Cell::Number { value: mean, digits: 2 });
            row.push(Cell::Number { value: of.into_iter().fold(0.0, f64::max), digits: 1 });
        }
        table.push(Standing::Evidence, row);
    }
    table
}

/// Shares of the names of nobody at each level of [`TAIL_LEVELS`], over many references.
fn tail_rates(nobody: &[f64], ranked: usize, seed: u64) -> [f64; TAIL_LEVELS.len()] {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut nobody = nobody.to_vec();
    let mut counts = [0; TAIL_LEVELS.len()];
    for _ in 0..TAIL_REFERENCES {
        nobody.shuffle(&mut rng);
        let (reference, others) = nobody.split_at(ranked.min(nobody.len() / 2));
        let by_tail = Ranked::among(reference, others).by_tail;
        for (count, level) in counts.iter_mut().zip(TAIL_LEVELS) {
            *count += by_tail.iter().filter(|p| **p <= level).count();
        }
    }
    let others = nobody.len() - ranked.min(nobody.len() / 2);
    counts.map(|count| count as f64 / (TAIL_REFERENCES * others) as f64)
}

fn lists(targets: &[Scores]) -> Table {
    let columns = vec![
        Column::numbers("Names"),
        Column::words("Members"),
        Column::numbers("Reference before"),
        Column::numbers("Found"),
        Column::numbers("False"),
        Column::numbers("Reference now"),
        Column::numbers("Found now"),
        Column::numbers("False now"),
        Column::numbers("False now, worst target"),
        Column::numbers("Lists said to hold members"),
        Column::numbers("Lists over-counted"),
    ];
    let mut table = Table::new("power", "What a list of names gets", columns);
    "How many members of a list are detected at a false discovery rate of 5 %?"
        .clone_into(&mut table.question);
    format!(
        "Means over {} targets, in per cent. Reference: names that a score is ranked among. Found: share \
         of the members that are detected. False: share of the detected names that are not members, by \
         Benjamini and Hochberg before, and now as `umid audit` does. A list is said to hold members \
         if the p-value of the whole list is at most 5 %; it is over-counted if its least number of members \
         (95 % confidence) is more than there are. Names of nobody are shared between reference \
         and list, so a reference has at most half of them, and the longest lists draw theirs with repeats, so that nothing is said of them as a whole.",
        targets.len()
    )
    .clone_into(&mut table.plain);
    for names in LENGTHS {
        for members in MEMBERS {
            if matches!(members, Members::Share(_)) && members.of(names) == 1 {
                continue;
            }
            let now = ranked_now(names);
            let outcomes: Vec<(usize, Outcome)> = targets
                .par_iter()
                .enumerate()
                .map(|(seed, scores)| simulate(scores, names, members.of(names), now, seed as u64))
                .collect();
            let mean = |of: &dyn Fn(&Outcome) -> f64| Cell::Number {
                value: 100.0 * outcomes.iter().map(|(_, o)| of(o)).sum::<f64>()
                    / outcomes.len() as f64,
                digits: 1,
            };
            let has_members = members.of(names) > 0;
            let found = |side: usize| {
                if has_members { mean(&|o: &Outcome| o.found[side]) } else { Cell::Empty }
            };
            // A list that repeats names says too much of itself.
            let repeats = targets.iter().any(|t| names - members.of(names) > t.nobody.len() - now);
            let whole = |of: &dyn Fn(&Outcome) -> f64| {
                if repeats { Cell::Empty } else { mean(of) }
            };
            let worst = outcomes.iter().map(|(_, o)| o.falsely[1]).fold(0.0, f64::max);
            let ranked = outcomes.iter().map(|(ranked, _)| *ranked).max().unwrap_or(0);
            table.push(
                Standing::Evidence,
                vec![
                    Cell::Count(names as u64),
                    Cell::Text(members.words()),
                    Cell::Count(BEFORE as u64),
                    found(0),
                    mean(&|o: &Outcome| o.falsely[0]),
                    Cell::Count(ranked as u64),
                    found(1),
                    mean(&|o: &Outcome| o.falsely[1]),
                    Cell::Number { value: 100.0 * worst, digits: 1 },
                    whole(&|o: &Outcome| o.members_said),
                    whole(&|o: &Outcome| o.over_counted),
                ],
            );
        }
    }
    table
}

/// Names that a score is ranked among in the default reference for such a list.
fn ranked_now(names: usize) -> usize {
    let reference = umid::reference::ReferenceSize::for_list(names, FALSE_DISCOVERY_RATE).names;
    umid::reference::ranked_of(reference)
}

fn simulate(
    scores: &Scores,
    names: usize,
    members: usize,
    now: usize,
    seed: u64,
) -> (usize, Outcome) {
    let lists = (NAMES_SIMULATED / names).clamp(1, MOST_LISTS);
    let now = now.min(scores.nobody.len() / 2);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut nobody = scores.nobody.clone();
    let mut sum = Outcome::default();
    for list in 0..lists {
        nobody.shuffle(&mut rng);
        let (reference, others) = nobody.split_at(now);
        let pick = |from: &[f64], rng: &mut ChaCha8Rng| from[rng.random_range(0..from.len())];
        let asked: Vec<f64> = (0..names)
            .map(|i| match i {
                i if i < members => pick(&scores.members, &mut rng),
                i if names - members <= others.len() => others[i - members],
                _ => pick(others, &mut rng),
            })
            .collect();
        let before = Ranked::among(&reference[..BEFORE.min(now)], &asked);
        let after = Ranked::among(reference, &asked);
        let plain = benjamini_hochberg(&before.p_values, FALSE_DISCOVERY_RATE).expect("p-values");
        let adaptive =
            adaptive_benjamini_hochberg(&after.by_tail, FALSE_DISCOVERY_RATE).expect("p-values");
        for (side, flags) in [plain.discoveries, adaptive.found.discoveries].iter().enumerate() {
            let hits = flags[..members].iter().filter(|flag| **flag).count();
            let all = flags.iter().filter(|flag| **flag).count();
            sum.found[side] += hits as f64 / members.max(1) as f64;
            sum.falsely[side] += (all - hits) as f64 / all.max(1) as f64;
        }
        let group = RankedNames { p_values: &after.p_values, calibration: now };
        let answer = ListAnswer::of(&[group], list as u64).expect("p-values").expect("names");
        sum.members_said += f64::from(u8::from(answer.p_value <= 0.05));
        sum.over_counted += f64::from(u8::from(answer.at_least > members));
    }
    let mean = |value: f64| value / lists as f64;
    let outcome = Outcome {
        found: sum.found.map(mean),
        falsely: sum.falsely.map(mean),
        members_said: mean(sum.members_said),
        over_counted: mean(sum.over_counted),
    };
    (now, outcome)
}

struct Ranked {
    p_values: Vec<f64>,
    /// By the tail above the whole reference.
    by_tail: Vec<f64>,
}

impl Ranked {
    fn among(reference: &[f64], asked: &[f64]) -> Self {
        let calibration = ConformalCalibration::new(reference.to_vec()).expect("finite scores");
        let p_values: Vec<f64> =
            asked.iter().map(|s| calibration.p_value(*s).expect("finite")).collect();
        let by_tail = asked
            .iter()
            .zip(&p_values)
            .map(|(s, p)| calibration.tail_p_value(*s).expect("finite").unwrap_or(*p))
            .collect();
        Self { p_values, by_tail }
    }
}
