//! Several clips of each speaker, none of which the target was trained on, embedded once.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use ndarray::Array2;

use crate::record::{Cost, Group};
use crate::subject::Subject;

/// Clips of each person.
pub const CLIPS: u32 = 6;

/// Embedded clips of the people under test, in the order of their group.
pub struct Probe {
    /// One array of `[CLIPS, dim]` per person.
    pub groups: BTreeMap<Group, Vec<Array2<f32>>>,
    /// What a query costs.
    pub cost: Cost,
}

impl Probe {
    /// Embeds the clips; shared between methods.
    pub fn of(subject: &Subject) -> crate::Result<Rc<Self>> {
        subject.shared("clips".to_owned(), || Self::compute(subject))
    }

    fn compute(subject: &Subject) -> crate::Result<Self> {
        let started = Instant::now();
        let world = subject.world()?;
        let (mut groups, mut count) = (BTreeMap::new(), 0);
        for group in [Group::Member, Group::NonMember, Group::Mispaired] {
            let mut of_group = Vec::new();
            for person in subject.people(group)? {
                let clips = (0..CLIPS)
                    .map(|number| world.held_out_recording(person, number))
                    .map(|recording| recording.input(&subject.model.front_end))
                    .collect::<Result<Vec<_>, _>>()?;
                of_group.push(subject.model.embed_inputs(&clips)?);
            }
            count += of_group.len();
            if !of_group.is_empty() {
                groups.insert(group, of_group);
            }
        }
        let seconds = Some(started.elapsed().as_secs_f64() / count as f64);
        let forward = f64::from(1 + CLIPS);
        Ok(Self { groups, cost: Cost { forward, backward: 0.0, seconds, latency: None } })
    }
}
