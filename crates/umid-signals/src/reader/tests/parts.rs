//! What siblings say of a part is computed once, and readings do not depend on what was kept.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// [`TOWER`], counting the texts that it is asked for.
#[derive(Debug, Default)]
struct CountingTower {
    texts: AtomicUsize,
}

impl TextEmbedder for &CountingTower {
    type Error = Error;

    fn embed(&self, texts: &[String]) -> Result<EmbeddedTexts> {
        self.texts.fetch_add(texts.len(), Ordering::Relaxed);
        TOWER.embed(texts)
    }

    fn logit_scale(&self) -> f64 {
        TOWER.logit_scale()
    }
}

/// Templates, contexts, public first parts and public last parts.
fn lists() -> [Vec<String>; 4] {
    [
        strings(&["a {}", "{} in a photo"]),
        strings(&["{} in Paris", "happy birthday {}", "news of {}"]),
        strings(&["Ann", "Bo", "Cy", "Di"]),
        strings(&["Ash", "Bly", "Cox"]),
    ]
}

fn setting([templates, contexts, first_parts, last_parts]: &[Vec<String>; 4]) -> Setting<'_> {
    Setting { templates, contexts, first_parts, last_parts }
}

/// Crossed names; names with public parts of their own, in every combination; names without two parts;
/// a name twice, and in other case; names of the reference, which leave their own row out.
fn asked() -> Vec<(Name<'static>, Option<usize>)> {
    let crossed = ["Sue Roe", "Sue Poe", "Tim Roe", "Tim Poe", "sue Roe", "Sue Roe"];
    let public = ["Ann Roe", "Ann Poe", "ann Roe", "Sue Cox", "Tim Cox", "Ann Cox", "Bo Cox"];
    let names = crossed.into_iter().chain(public).map(|text| (two_parts(text), None));
    let one_part = ["Cher", "Sue Roe", "Sue Ash"].map(|text| (one_part(text), None));
    let reference = [0, 3, 11].into_iter().map(|row| (two_parts(REFERENCE[row]), Some(row)));
    let same_parts = ["Flo Dean", "Ida Ames"].map(|text| (two_parts(text), None));
    names.chain(one_part).chain(reference).chain(same_parts).collect()
}

#[test]
fn readings_do_not_depend_on_summaries_kept_or_on_chunks_order_and_threads() {
    let lists = lists();
    let reference = REFERENCE.map(two_parts);
    let names = asked();
    let reversed: Vec<_> = names.iter().rev().copied().collect();
    // Nothing; one summary (1024 bytes and its vectors); everything.
    for limit in [0, 1600, usize::MAX] {
        for bank in [None, Some(bank())] {
            let reader = |limit| {
                let reader = TextReader::new(TOWER, setting(&lists), &reference, bank.clone());
                reader.unwrap().with_summary_bytes(limit)
            };
            let read = |reader: &TextReader<'_, Tower>, names: &[(Name<'_>, Option<usize>)]| {
                let texts: Vec<Name<'_>> = names.iter().map(|(name, _)| *name).collect();
                let readings = reader.read(&texts, |i| names[i].1).unwrap();
                readings.into_iter().map(|reading| reading.signals).collect::<Vec<_>>()
            };
            let alone: Vec<SignalRow> =
                names.chunks(1).flat_map(|name| read(&reader(0), name)).collect();
            assert_eq!(alone.len(), names.len());
            let with_parts = alone.iter().filter(|row| {
                let calibrated = row[&RESPONSE_NORM_CALIBRATED.signal()];
                calibrated.is_some_and(f64::is_finite)
            });
            assert_eq!(with_parts.count(), names.len() - 3);
            for size in [1, 4, names.len()] {
                let shared = reader(limit);
                for _ in 0..2 {
                    let rows: Vec<SignalRow> =
                        names.chunks(size).flat_map(|chunk| read(&shared, chunk)).collect();
                    assert_eq!(rows, alone, "limit {limit}, chunks of {size}");
                    let mut backwards: Vec<SignalRow> =
                        reversed.chunks(size).flat_map(|chunk| read(&shared, chunk)).collect();
                    backwards.reverse();
                    assert_eq!(backwards, alone, "limit {limit}, backwards, chunks of {size}");
                }
            }
            let shared = reader(limit);
            let at_once: Vec<Vec<SignalRow>> =
                names.par_chunks(1).map(|name| read(&shared, name)).collect();
            assert_eq!(at_once.concat(), alone, "limit {limit}, at once");
        }
    }
}

#[test]
fn each_part_of_a_crossed_list_is_embedded_once_with_its_siblings() {
    let (firsts, lasts) = (["Sue", "Tim", "Una", "Vic", "Wes"], ["Roe", "Poe", "Loe", "Moe"]);
    let texts: Vec<String> =
        firsts.iter().flat_map(|f| lasts.iter().map(move |l| full_name(f, l))).collect();
    let names: Vec<Name<'_>> = texts.iter().map(|text| two_parts(text)).collect();
    let lists = lists();
    let (templates, contexts) = (lists[0].len(), lists[1].len());
    let (public_firsts, public_lasts) = (lists[2].len(), lists[3].len());
    let own = names.len() * (templates + contexts);
    let of_parts = (firsts.len() * public_lasts + lasts.len() * public_firsts) * templates;

    let tower = CountingTower::default();
    let reference = REFERENCE.map(two_parts);
    let reader = TextReader::new(&tower, setting(&lists), &reference, None).unwrap();
    let cost = |reader: &TextReader<'_, &CountingTower>| {
        let before = tower.texts.load(Ordering::Relaxed);
        for chunk in names.chunks(7) {
            let (foreseen, before) =
                (reader.texts_to_embed(chunk), tower.texts.load(Ordering::Relaxed));
            reader.read(chunk, |_| None).unwrap();
            assert_eq!(tower.texts.load(Ordering::Relaxed) - before, foreseen);
        }
        tower.texts.load(Ordering::Relaxed) - before
    };
    assert_eq!(reader.texts_to_embed(&names), own + of_parts);
    assert_eq!(cost(&reader), own + of_parts);
    assert_eq!(cost(&reader), own);
    // Parts are then embedded for each chunk: two firsts more for those that two chunks share, and
    // all lasts in each of three chunks.
    let forgetful = reader.with_summary_bytes(0);
    let each_chunk = (7 * public_lasts + 3 * lasts.len() * public_firsts) * templates;
    assert_eq!(cost(&forgetful), own + each_chunk);
}
