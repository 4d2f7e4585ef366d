//! CLIP's text tower alone, as transformers writes `CLIPTextModel` and
//! `CLIPTextModelWithProjection`: the `text_encoder` folders of Stable Diffusion's repositories.
//!
//! Reference: transformers, `models/clip/modeling_clip.py`; diffusers puts a text tower and its
//! tokenizer in two folders, `text_encoder` and `tokenizer`, `text_encoder_2` and `tokenizer_2`.
//! Without a projection the embedding is the pooled state, after the last norm. There is no scale
//! of cosines, as there is nothing to compare a text with.

use super::clip::{CONFIG, POSITION_IDS, text};
use super::{Family, Names, Opened, as_described, check};
use crate::Result;
use crate::checkpoint::{Found, Naming, Section};
use crate::config::{ModelConfig, TextConfig, TextHead};
use crate::front_end::{FrontEnd, Modality};
use crate::provenance::Provenance;
use crate::tokenizer::{TextRules, TokenizerFiles};

/// The projection, which may be absent.
const PROJECTION: &str = "text_projection.weight";
/// What names of the tower begin with; newer files leave it out.
const TOWER: &str = "text_model.";

/// `CLIPTextModel` of transformers, with or without a projection.
pub(super) struct ClipText;

impl Family for ClipText {
    fn recognises(&self, found: &Found) -> bool {
        found.model_type().as_deref() == Some("clip_text_model")
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let path = found.path(CONFIG);
        let mut section = Section::read(&path)?;
        let mut tower = text(&mut section, true)?;
        let weights = self.weights(found)?;
        let mut checkpoint = found.open(&weights, Vec::new())?;
        let names = checkpoint.names();
        let embedding_dim = if names.iter().any(|name| name == PROJECTION) {
            section.count_or("projection_dim", 512)?
        } else {
            tower.head = TextHead::None;
            tower.transformer.width
        };
        let config = ModelConfig { embedding_dim, text: TextConfig::Clip(tower), input: None };
        let defaulted = section.into_defaulted();
        check(&config, &path, &defaulted)?;
        checkpoint.defaulted(defaulted);
        for name in POSITION_IDS.iter().chain(&["embeddings.position_ids"]) {
            checkpoint.discard(name);
        }
        let below_tower = names.iter().any(|name| name.starts_with(TOWER));
        let naming: Naming = if below_tower { as_described } else { without_tower };
        let reason = "the checkpoint is a text tower alone".to_owned();
        Ok(Opened {
            config,
            front_end: FrontEnd::Absent { modality: Modality::Image, reason },
            checkpoint,
            names: Names::of_both(naming),
            texts: TextRules::of(TokenizerFiles::WholeOrBpe),
            files: std::iter::once(path).chain(weights.all()).collect(),
            provenance: Provenance::default(),
        })
    }

    fn logit_scales(&self) -> &'static [&'static str] {
        &[]
    }
}

fn without_tower(name: &str) -> (String, crate::checkpoint::View) {
    as_described(name.strip_prefix(TOWER).unwrap_or(name))
}
