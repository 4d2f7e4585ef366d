//! The product's own calibrated audit of every text of a target, shared between methods.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use umid::audit::AuditOptions;
use umid::auditor::{Auditor, Reading};
use umid::progress::Silent;
use umid::queries::Query;
use umid::reference::{ReferenceTexts, choose_reference, gibberish};
use umid::siblings::{DEFAULT_SIBLINGS, Siblings};
use umid::templates::Templates;
use umid_signals::Signal;
use umid_testbed::write_bank;

use crate::record::{Cost, Group};
use crate::subject::Subject;

/// Texts whose latency is measured, one by one.
const TIMED: usize = 8;

/// Settings of a calibrated audit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Names of the reference.
    pub names: usize,
    /// Where the reference's names come from.
    pub reference: Reference,
    /// Siblings of each kind.
    pub siblings: usize,
    /// Public photos; none for an audit by text alone.
    pub bank: usize,
    /// What those photos are like.
    pub look: Look,
    /// Templates; empty for those of the training.
    pub templates: Vec<String>,
    /// Seed of the reference's split.
    pub seed: u64,
    /// Which texts are read.
    pub texts: Texts,
}

/// Which texts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Texts {
    /// All groups.
    All,
    /// Members and non-members: enough for an ablation.
    People,
}

/// How photos of a bank differ from those of the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Not at all.
    Plain,
    /// Out of focus.
    Blurred,
    /// Without colour.
    Grey,
}

/// Standard deviation of [`Look::Blurred`] in pixels.
const BLUR: f32 = 2.0;

impl Look {
    /// Changes the photos of a folder.
    fn change(self, folder: &Path) -> anyhow::Result<()> {
        if self == Self::Plain {
            return Ok(());
        }
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let photo = image::open(&path)?;
            let changed = match self {
                Self::Plain => photo,
                Self::Blurred => photo.blur(BLUR),
                Self::Grey => photo.grayscale(),
            };
            changed.to_rgb8().save(&path)?;
        }
        Ok(())
    }
}

/// Where plausible names come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// Names of nobody from the draw of the people: the best case.
    Fresh,
    /// New combinations of the parts of the names under test, as `umid audit` makes them.
    Recombined,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            names: 1_000,
            reference: Reference::Fresh,
            siblings: DEFAULT_SIBLINGS,
            bank: 0,
            look: Look::Plain,
            templates: Vec::new(),
            seed: 0,
            texts: Texts::All,
        }
    }
}

/// What the audit says of every text.
pub struct Probe {
    /// Of the groups under test.
    pub groups: BTreeMap<Group, Vec<Reading>>,
    /// Signals of the reference's names.
    pub names: Vec<BTreeMap<Signal, Option<f64>>>,
    /// What a query costs.
    pub cost: Cost,
}

impl Probe {
    /// Audits every text of a target.
    pub fn of(subject: &Subject, settings: &Settings) -> anyhow::Result<Rc<Self>> {
        let key = format!("audit {}", serde_json::to_string(settings)?);
        subject.shared(key, || Self::compute(subject, settings))
    }

    fn compute(subject: &Subject, settings: &Settings) -> anyhow::Result<Self> {
        let bank = tempfile::tempdir()?;
        if settings.bank > 0 {
            write_bank(&subject.world, settings.bank, bank.path())?;
            settings.look.change(bank.path())?;
        }
        let options = AuditOptions {
            bank: (settings.bank > 0).then(|| bank.path().to_owned()),
            ..options(subject, settings)?
        };
        let auditor = Auditor::prepare(&subject.model, &options, &Silent)?;
        let started = Instant::now();
        let mut groups = BTreeMap::new();
        let mut texts = 0;
        let people = [Group::Member, Group::NonMember];
        let wanted = |group: &Group| settings.texts == Texts::All || people.contains(group);
        for (group, queries) in subject.groups().iter().filter(|(group, _)| wanted(group)) {
            let queries: Vec<&Query> = queries.iter().collect();
            groups.insert(*group, auditor.read(&queries)?);
            texts += queries.len();
        }
        let seconds = started.elapsed().as_secs_f64() / texts as f64;
        let latency = latency(&auditor, &subject.groups()[&Group::NonMember])?;
        let templates = options.templates.as_slice().len();
        let cost = Cost {
            forward: (templates * (1 + 2 * settings.siblings)) as f64,
            backward: 0.0,
            seconds: Some(seconds),
            latency: Some(latency),
        };
        Ok(Self { groups, names: auditor.reference_signals().to_vec(), cost })
    }
}

/// Median seconds of a text alone.
fn latency(auditor: &Auditor<'_>, texts: &[Query]) -> anyhow::Result<f64> {
    let mut seconds = Vec::new();
    for text in texts.iter().take(TIMED) {
        let started = Instant::now();
        auditor.read(&[text])?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().context("no text to time")
}

/// The options of `umid audit` with the defaults of its command line, without inversions.
fn options(subject: &Subject, settings: &Settings) -> anyhow::Result<AuditOptions> {
    let templates = if settings.templates.is_empty() {
        subject.card.name_templates.clone()
    } else {
        settings.templates.clone()
    };
    let names = reference(subject, settings)?;
    Ok(AuditOptions {
        templates: Templates::new(templates)?,
        inversion: None,
        siblings: Siblings::bundled(settings.siblings)?,
        ..AuditOptions::new(
            subject.model.modality(),
            settings.seed,
            gibberish(settings.seed, 100)?,
            names,
        )?
    })
}

fn reference(subject: &Subject, settings: &Settings) -> anyhow::Result<ReferenceTexts> {
    match settings.reference {
        Reference::Fresh => Ok(ReferenceTexts {
            texts: subject.fresh().iter().take(settings.names).cloned().collect(),
            description: "names of nobody from the draw of the people".to_owned(),
            warnings: Vec::new(),
        }),
        Reference::Recombined => {
            let groups = subject.groups();
            let of = |group| groups.get(&group).into_iter().flatten();
            let asked: Vec<Query> =
                of(Group::Member).chain(of(Group::NonMember)).cloned().collect();
            Ok(choose_reference(settings.seed, settings.names, &asked)?)
        }
    }
}
