//! Whether all texts of an audit fit the model's context, before anything is computed.

use umid_models::Model;
use umid_signals::full_name;

use crate::audit::AuditOptions;
use crate::error::AuditError;
use crate::queries::Query;
use crate::reading::known_members::KnownMembers;
use crate::shown::shown;
use crate::templates::Templates;

/// Refuses texts that do not fit the model's context in every template: what is cut off could
/// not be asked about.
pub(crate) fn check_lengths(
    model: &Model,
    options: &AuditOptions,
    queries: &[Query],
) -> Result<(), AuditError> {
    let context = model.tokenizer.context();
    for query in queries {
        if let Some(tokens) = too_long(model, &options.templates, &query.text)? {
            return Err(AuditError::QueryTooLong { id: query.id.clone(), tokens, context });
        }
    }
    let paper = options.inversion.iter().flat_map(|_| &options.paper_reference.texts);
    for name in options.calibrated_reference.texts.iter().chain(paper) {
        if let Some(tokens) = too_long(model, &options.templates, &name.text)? {
            return Err(AuditError::TextTooLongForModel {
                what: format!("the reference text `{}`", shown(&name.text)),
                tokens,
                context,
                remedy: "or give shorter names",
            });
        }
    }
    for name in known_members(options) {
        if let Some(tokens) = too_long(model, &options.templates, &name.text)? {
            return Err(AuditError::TextTooLongForModel {
                what: format!("the known member `{}`", shown(&name.text)),
                tokens,
                context,
                remedy: "or leave the name out",
            });
        }
    }
    check_sibling_lengths(model, options, queries)
}

fn known_members(options: &AuditOptions) -> &[Query] {
    options.known_members.as_ref().map_or(&[], KnownMembers::names)
}

/// [`check_lengths`] for the names that siblings make of the queries and of the reference.
fn check_sibling_lengths(
    model: &Model,
    options: &AuditOptions,
    queries: &[Query],
) -> Result<(), AuditError> {
    let tokens = |name: &String| model.tokenizer.tokenize(name).map(|t| t.untruncated_len);
    // Words are tokenized one by one, so the longest sibling makes the longest name.
    let longest = |names: &[String]| -> Result<String, AuditError> {
        let mut longest = (0, String::new());
        for name in names {
            longest = longest.max((tokens(name)?, name.clone()));
        }
        Ok(longest.1)
    };
    let (first, last) = (longest(&options.siblings.first)?, longest(&options.siblings.last)?);
    let names =
        queries.iter().chain(&options.calibrated_reference.texts).chain(known_members(options));
    let relatives =
        names.filter_map(|name| name.parts.as_ref()).flat_map(|(own_first, own_last)| {
            [full_name(own_first, &last), full_name(&first, own_last)]
        });
    for name in relatives.chain([full_name(&first, &last)]) {
        if let Some(tokens) = too_long(model, &options.templates, &name)? {
            return Err(AuditError::TextTooLongForModel {
                what: "a name with a sibling's part".to_owned(),
                tokens,
                context: model.tokenizer.context(),
                remedy: "give shorter sibling parts, or do not take names apart",
            });
        }
    }
    Ok(())
}

/// Tokens of `name` in its longest template where the model would cut it.
fn too_long(model: &Model, templates: &Templates, name: &str) -> Result<Option<usize>, AuditError> {
    let mut longest = None;
    for text in templates.fill_all(name) {
        let tokens = model.tokenizer.tokenize(&text)?;
        if tokens.is_truncated() {
            longest = longest.max(Some(tokens.untruncated_len));
        }
    }
    Ok(longest)
}
