//! Which option to try after an error of the library, which knows nothing of a command line.

use umid::AuditError;
use umid::siblings::SiblingError;
use umid::store::StoreError;
use umid_models::ModelError;

/// What to try, if an option can mend it.
pub(crate) fn remedy(error: &AuditError) -> Option<&'static str> {
    Some(match error {
        AuditError::Stopped { source, .. } => return remedy(source),
        AuditError::ReferenceFailed { .. } => "a smaller step, such as --step 0.02",
        AuditError::OneRestart => "--restarts 2 or more, or --restarts 0",
        AuditError::CalibrationNames { .. } => {
            "--reference names:30 or more, or --reference file:PATH with more names"
        }
        AuditError::KnownMembers { .. } => {
            "a longer list with --known-members FILE, or none for the default score"
        }
        AuditError::TextTooLongForModel { .. } => {
            "another --template, shorter names with --reference file:PATH, shorter parts with \
             --sibling-first and --sibling-last, or --no-split"
        }
        AuditError::Model(ModelError::TextAlone { .. }) => "no --bank, which needs an input tower",
        AuditError::Bank { .. } => "another --bank DIR, or none",
        AuditError::Template(_) => "--template \"a photo of {}\"",
        AuditError::Reference(_) => "--reference names:N or --reference file:PATH",
        AuditError::Sibling(SiblingError::File(_)) => return None,
        AuditError::Sibling(_) => {
            "--siblings 16, or longer lists with --sibling-first and --sibling-last"
        }
        AuditError::Store(
            StoreError::OutputNotADirectory { .. }
            | StoreError::ForeignOutput { .. }
            | StoreError::OutputLocked { .. }
            | StoreError::LockOutput { .. }
            | StoreError::RunInfoUnreadable { .. }
            | StoreError::DifferentRun { .. }
            | StoreError::ResultsRecord { .. }
            | StoreError::RedactionKey { .. },
        ) => "another --out DIR",
        _ => return None,
    })
}
