//! How names are asked about: what an audit and a comparison of two share.

use std::path::{Path, PathBuf};

use clap::Args;
use umid::AuditError;
use umid::audit::{AuditOptions, DEFAULT_ALPHA, Redaction};
use umid::cache::ReferenceCache;
use umid::queries::{ColumnNames, NameFile, PartRule, QueryOptions, read_queries};
use umid::reference::{
    ReferenceSize, ReferenceSpec, ReferenceTexts, choose_reference, from_file, gibberish,
};
use umid::siblings::{DEFAULT_SIBLINGS, Siblings};
use umid::templates::Templates;
use umid_models::Modality;

/// Gibberish strings of the paper's reading, as in TUNI's code.
pub(crate) const GIBBERISH: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct AskingArgs {
    /// Options from a file: TOML with the long names as keys, or run.json of an audit, which gives what
    /// that run was given but for files and directories. The command line takes their place
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Column of the queries with the names, if it is not called text or name
    #[arg(long, value_name = "NAME")]
    pub(crate) text_column: Option<String>,
    /// Column with identifiers, if it is not called id
    #[arg(long, value_name = "NAME")]
    pub(crate) id_column: Option<String>,
    /// Column with first parts, if it is not called first
    #[arg(long, value_name = "NAME")]
    pub(crate) first_column: Option<String>,
    /// Column with last parts, if it is not called last
    #[arg(long, value_name = "NAME")]
    pub(crate) last_column: Option<String>,
    /// Column that says who is a member, if it is not called member
    #[arg(long, value_name = "NAME")]
    pub(crate) member_column: Option<String>,
    /// Column that says how often training saw a name, if it is not called exposures
    #[arg(long, value_name = "NAME")]
    pub(crate) exposures_column: Option<String>,
    /// Caption template with one {}, as the model's training captions have it; repeatable, and
    /// several are better than one. The first is inverted
    #[arg(long, value_name = "TEXT")]
    pub(crate) template: Vec<String>,
    /// Caption with one {} that says other things beside the name, in the language of the model's
    /// training captions; repeatable, in the place of the twelve that are taken otherwise. They count
    /// as far as the model knows captions like them
    #[arg(long, value_name = "TEXT")]
    pub(crate) context: Vec<String>,
    /// Reference texts: gibberish:N for the paper's reading [default: gibberish:100]; names:N (of
    /// each form of name) or file:PATH, plausible names that cannot be members, for the calibrated
    /// reading; repeatable. By default 600 names, and more for a list of more than 20 (up to 2,000, or as
    /// many as the list has, up to 20,000), so that a lone member can be detected
    #[arg(long, value_name = "SPEC")]
    pub(crate) reference: Vec<ReferenceSpec>,
    /// Treat every name as one unit: no siblings
    #[arg(long)]
    pub(crate) no_split: bool,
    /// Directory of public images or sounds of the model's domain, none of a person asked about; at
    /// least 100. Another domain costs power
    #[arg(long, value_name = "DIR")]
    pub(crate) bank: Option<PathBuf>,
    /// Bundled siblings of each kind for the part-interaction residual
    #[arg(long, default_value_t = DEFAULT_SIBLINGS, value_name = "N")]
    pub(crate) siblings: usize,
    /// Siblings' first parts, one a line, instead of the bundled ones
    #[arg(long, value_name = "FILE", requires = "sibling_last")]
    pub(crate) sibling_first: Option<PathBuf>,
    /// Siblings' last parts, one a line, instead of the bundled ones
    #[arg(long, value_name = "FILE", requires = "sibling_first")]
    pub(crate) sibling_last: Option<PathBuf>,
    /// Per-name significance level of the calibrated test
    #[arg(long, default_value_t = DEFAULT_ALPHA, value_name = "P")]
    pub(crate) alpha: f64,
    /// Level of the false discovery rate control across the run
    #[arg(long, default_value_t = DEFAULT_ALPHA, value_name = "Q")]
    pub(crate) fdr: f64,
    /// Seed of starts, references and detectors
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Write keyed hashes instead of names; the key stays in the run's directory
    #[arg(long)]
    pub(crate) redact: bool,
    /// Compute references afresh and keep nothing in the user's cache
    #[arg(long)]
    pub(crate) no_cache: bool,
}

impl AskingArgs {
    /// How lists of names other than the queries are read.
    pub(crate) fn list_options(&self) -> QueryOptions {
        let parts = if self.no_split { PartRule::None } else { PartRule::FirstWord };
        QueryOptions { parts, ..QueryOptions::default() }
    }

    /// The names that are asked about.
    pub(crate) fn queries(&self, path: &Path) -> anyhow::Result<NameFile> {
        let columns = ColumnNames {
            text: self.text_column.clone(),
            id: self.id_column.clone(),
            first: self.first_column.clone(),
            last: self.last_column.clone(),
            member: self.member_column.clone(),
            exposures: self.exposures_column.clone(),
        };
        Ok(read_queries(path, &QueryOptions { columns, ..self.list_options() })?)
    }

    /// Options of an audit without inversions and previews.
    pub(crate) fn options(
        &self,
        queries: &NameFile,
        modality: Modality,
    ) -> anyhow::Result<AuditOptions> {
        let (paper, calibrated) = self.references(queries)?;
        let given = |captions: &[String], default: fn(Modality) -> Templates| {
            if captions.is_empty() {
                Ok(default(modality))
            } else {
                Templates::new(captions.to_vec())
            }
        };
        let templates = given(&self.template, Templates::of).map_err(AuditError::from)?;
        let contexts = given(&self.context, Templates::contexts_of).map_err(AuditError::from)?;
        let siblings = match (&self.sibling_first, &self.sibling_last) {
            (Some(first), Some(last)) => Siblings::from_files(first, last),
            _ => Siblings::bundled(self.siblings),
        };
        Ok(AuditOptions {
            templates,
            contexts,
            inversion: None,
            siblings: siblings.map_err(AuditError::from)?,
            bank: self.bank.clone(),
            alpha: self.alpha,
            false_discovery_rate: self.fdr,
            redaction: if self.redact { Redaction::On } else { Redaction::Off },
            cache: if self.no_cache { ReferenceCache::off() } else { ReferenceCache::of_user() },
            ..AuditOptions::new(modality, self.seed, paper, calibrated)?
        })
    }

    /// The texts of both readings.
    fn references(&self, queries: &NameFile) -> anyhow::Result<(ReferenceTexts, ReferenceTexts)> {
        let (mut paper, mut calibrated) = (None, None);
        for spec in &self.reference {
            let (slot, texts) = match spec {
                ReferenceSpec::Gibberish(count) => (&mut paper, gibberish(self.seed, *count)?),
                ReferenceSpec::Names(count) => {
                    let size = ReferenceSize::exactly(*count);
                    (&mut calibrated, choose_reference(self.seed, size, &queries.queries)?)
                }
                ReferenceSpec::File(path) => {
                    let texts = from_file(path, &self.list_options(), &queries.queries)?;
                    (&mut calibrated, texts)
                }
            };
            if slot.replace(texts).is_some() {
                anyhow::bail!(
                    "two references for one reading; give --reference once for gibberish:N and once for names:N or file:PATH"
                );
            }
        }
        let paper = match paper {
            Some(texts) => texts,
            None => gibberish(self.seed, GIBBERISH)?,
        };
        let calibrated = if let Some(texts) = calibrated {
            texts
        } else {
            let size = ReferenceSize::for_list(queries.queries.len(), self.fdr);
            choose_reference(self.seed, size, &queries.queries)?
        };
        Ok((paper, calibrated))
    }
}
