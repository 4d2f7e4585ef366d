//! The product's own calibrated audit of every text of a target, shared between methods.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use umid::audit::AuditOptions;
use umid::auditor::{Auditor, Reading};
use umid::known_members::KnownMembers;
use umid::progress::Silent;
use umid::queries::Query;
use umid::reference::{ReferenceSize, ReferenceTexts, choose_reference, gibberish};
use umid::siblings::{DEFAULT_SIBLINGS, Siblings};
use umid_models::{LoadOptions, Model, Precision};
use umid_signals::SignalRow;
use umid_testbed::write_bank;

use super::latency;
use crate::error::Error;
use crate::record::{Cost, Group};
use crate::subject::Subject;

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
    /// Members whom the score is fitted on as known ones; 0 for the default score. They are the
    /// first of the draw, whose order says nothing else, and no verdict is given on them.
    pub known_members: usize,
    /// How often a known member must have been shown at least, in a world that says.
    pub known_members_from: usize,
    /// Seed of the reference's split.
    pub seed: u64,
    /// Which texts are read.
    pub texts: Texts,
    /// In which precision the text tower computes, where it can.
    pub precision: Precision,
    /// More names of nobody that are read as a group of their own.
    pub strangers: usize,
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
    fn change(self, folder: &Path) -> crate::Result<()> {
        if self == Self::Plain {
            return Ok(());
        }
        for entry in std::fs::read_dir(folder).map_err(Error::file(folder))? {
            let path = entry.map_err(Error::file(folder))?.path();
            let failed = |source| Error::Photo { path: path.clone(), source };
            let photo = image::open(&path).map_err(failed)?;
            let changed = match self {
                Self::Plain => photo,
                Self::Blurred => photo.blur(BLUR),
                Self::Grey => photo.grayscale(),
            };
            changed.to_rgb8().save(&path).map_err(failed)?;
        }
        Ok(())
    }
}

/// Where plausible names come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// Names of nobody from the draw of the people: the best case. Of a foreign target, the file that
    /// its list has, or what `umid audit` would draw.
    Fresh,
    /// New combinations of the parts of the names under test, as `umid audit` makes them.
    Recombined,
    /// What `umid audit` makes for a list that is too short to give parts: names of the bundled lists,
    /// of parts that recur.
    Bundled,
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
            known_members: 0,
            known_members_from: 0,
            seed: 0,
            texts: Texts::All,
            precision: Precision::F32,
            strangers: 0,
        }
    }
}

/// What the audit says of every text.
pub struct Probe {
    /// Of the groups under test.
    pub groups: BTreeMap<Group, Vec<Reading>>,
    /// Signals of the reference's names.
    pub names: Vec<SignalRow>,
    /// What a query costs.
    pub cost: Cost,
}

impl Probe {
    /// Audits every text of a target.
    pub fn of(subject: &Subject, settings: &Settings) -> crate::Result<Rc<Self>> {
        let key = format!("audit {}", serde_json::to_string(settings)?);
        subject.shared(key, || Self::compute(subject, settings))
    }

    fn compute(subject: &Subject, settings: &Settings) -> crate::Result<Self> {
        let bank = tempfile::tempdir().map_err(Error::file(std::env::temp_dir()))?;
        if settings.bank > 0 {
            write_bank(subject.world()?, settings.bank, bank.path())?;
            settings.look.change(bank.path())?;
        }
        let options = AuditOptions {
            bank: (settings.bank > 0).then(|| bank.path().to_owned()),
            ..options(subject, settings)?
        };
        let model = &subject.model;
        let rounded = (settings.precision != model.text_precision())
            .then(|| {
                let load = LoadOptions::on(model.device()).texts_in(settings.precision);
                Model::load(&model.source.path, load.text_alone())
            })
            .transpose()?;
        let model = rounded.as_ref().unwrap_or(model);
        let (asked, found) = (settings.precision, model.text_precision());
        if asked != found {
            return Err(Error::TextPrecision { asked, found });
        }
        let auditor = Auditor::prepare(model, &options, &Silent)?;
        // First, as later names have parts that are known by then.
        let alone = |text: &Query| Ok(auditor.read(&[text]).map(drop)?);
        let latency = latency(&subject.groups()[&Group::NonMember], alone)?;
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
        if settings.strangers > 0 {
            let strangers = subject.strangers(settings.strangers)?;
            let queries: Vec<&Query> = strangers.iter().collect();
            groups.insert(Group::Stranger, auditor.read(&queries)?);
            texts += queries.len();
        }
        let seconds = started.elapsed().as_secs_f64() / texts as f64;
        let (templates, contexts) =
            (options.templates.as_slice().len(), options.contexts.as_slice().len());
        let cost = Cost {
            // Of a name whose parts are met for the first time; a known part saves its siblings'.
            forward: (templates * (1 + 2 * settings.siblings) + contexts) as f64,
            backward: 0.0,
            seconds: Some(seconds),
            latency: Some(latency),
        };
        Ok(Self { groups, names: auditor.reference_signals().to_vec(), cost })
    }
}

/// The options of `umid audit` with the defaults of its command line, without inversions.
fn options(subject: &Subject, settings: &Settings) -> crate::Result<AuditOptions> {
    let names = reference(subject, settings)?;
    let options = AuditOptions {
        templates: subject.templates(&settings.templates)?,
        inversion: None,
        siblings: Siblings::bundled(settings.siblings)?,
        ..AuditOptions::new(
            subject.model.modality(),
            settings.seed,
            gibberish(settings.seed, 100)?,
            names,
        )?
    };
    if settings.known_members == 0 {
        return Ok(options);
    }
    let exposures = subject.exposures()?;
    let known = exposures.iter().zip(&subject.groups()[&Group::Member]);
    let known = known.filter(|(count, _)| count.unwrap_or(0) >= settings.known_members_from);
    let members = known.map(|(_, name)| name).take(settings.known_members);
    Ok(options.with_known_members(KnownMembers::new(members.cloned().collect())))
}

fn reference(subject: &Subject, settings: &Settings) -> crate::Result<ReferenceTexts> {
    match settings.reference {
        Reference::Fresh => subject.reference(settings.seed, settings.names),
        Reference::Recombined => {
            let groups = subject.groups();
            let of = |group| groups.get(&group).into_iter().flatten();
            let asked: Vec<Query> =
                of(Group::Member).chain(of(Group::NonMember)).cloned().collect();
            Ok(choose_reference(settings.seed, ReferenceSize::exactly(settings.names), &asked)?)
        }
        Reference::Bundled => {
            Ok(choose_reference(settings.seed, ReferenceSize::exactly(settings.names), &[])?)
        }
    }
}
