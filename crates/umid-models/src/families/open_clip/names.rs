//! What open_clip calls the towers' tensors.

use super::hf_text;
use crate::checkpoint::{Checkpoint, Naming, View};
use crate::config::{ClipTextConfig, InputConfig, ModelConfig, TextConfig, TextHead};
use crate::families::{Names, as_described};

/// What names of the text tower begin with in a model that open_clip calls `custom_text`.
const TEXT: &str = "text.";

/// Names as the towers have them (Hugging Face's) and as open_clip has them.
const NAMES: [(&str, &str); 9] = [
    ("text_model.embeddings.class_embedding", "cls_emb"),
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.final_layer_norm.", "ln_final."),
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.pre_layrnorm.", "visual.ln_pre."),
    ("vision_model.post_layernorm.", "visual.ln_post."),
];
/// The same, of parts of a block's names.
const BLOCK_NAMES: [(&str, &str); 9] = [
    ("text_model.encoder.layers.", "transformer.resblocks."),
    ("vision_model.encoder.layers.", "visual.transformer.resblocks."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
    (".layer_scale1.lambda1", ".ls_1.gamma"),
    (".layer_scale2.lambda1", ".ls_2.gamma"),
];

/// Names of the learnt queries of the image tower, in the order in which they are replaced.
const QUERIES_NAMES: [(&str, &str); 6] = [
    ("vision_model.head.", "visual.attn_pool."),
    ("vision_model.head_contrastive.", "visual.attn_pool_contrastive."),
    (".probe", ".query"),
    (".attention.", ".attn."),
    (".query_norm.", ".ln_q."),
    (".key_norm.", ".ln_k."),
];

/// What open_clip calls the tensors of each tower. Image towers of timm describe themselves by its
/// names.
pub(super) fn names(config: &ModelConfig, checkpoint: &Checkpoint) -> Names {
    let input = match config.input {
        Some(InputConfig::TimmVit(_) | InputConfig::ConvNext(_) | InputConfig::FastVit(_)) => {
            as_described
        }
        _ => stored_name,
    };
    Names { text: text_names(&config.text, checkpoint), input }
}

/// What open_clip calls the tensors of a text tower.
pub(super) fn text_names(text: &TextConfig, checkpoint: &Checkpoint) -> Naming {
    let below_text = checkpoint.names().iter().any(|name| name.starts_with(TEXT));
    if !matches!(text, TextConfig::Clip(_)) {
        return of_transformers;
    }
    let bias =
        matches!(text, TextConfig::Clip(ClipTextConfig { head: TextHead::LinearWithBias, .. }));
    match (below_text, bias) {
        (false, false) => stored_name,
        (false, true) => with_bias,
        (true, false) => |name| in_text(stored_name(name)),
        (true, true) => |name| in_text(with_bias(name)),
    }
}

fn in_text((name, view): (String, View)) -> (String, View) {
    (format!("{TEXT}{name}"), view)
}

/// A text tower of transformers, under the names that it has there.
fn of_transformers(name: &str) -> (String, View) {
    // A CLAP's projection has numbers where its description has names.
    let parts = [
        ("text_model.", hf_text::TOWER),
        ("text_projection.", hf_text::PROJECTION),
        ("proj.linear1.", "proj.0."),
        ("proj.linear2.", "proj.2."),
    ];
    let replace = |name: String, (from, to): &(&str, &str)| name.replacen(from, to, 1);
    (parts.iter().fold(name.to_owned(), replace), View::Whole)
}

/// As [`stored_name`], of a text projection that is a layer with a bias.
fn with_bias(name: &str) -> (String, View) {
    match name {
        "text_projection.weight" => (name.to_owned(), View::Whole),
        _ => stored_name(name),
    }
}

/// What open_clip calls a tensor. Query, key and value are one matrix, and the projections to the
/// joint space are stored as `[width, embedding_dim]`.
pub(super) fn stored_name(name: &str) -> (String, View) {
    match name {
        "text_projection.weight" => return ("text_projection".to_owned(), View::Transposed),
        "visual_projection.weight" => return ("visual.proj".to_owned(), View::Transposed),
        _ => {}
    }
    if let Some((from, to)) = NAMES.iter().find(|(from, _)| name.starts_with(from)) {
        return (name.replacen(from, to, 1), View::Whole);
    }
    let replaced = |names: &[(&str, &str)]| {
        names.iter().fold(name.to_owned(), |name, (from, to)| name.replacen(from, to, 1))
    };
    if name.starts_with("vision_model.head") {
        return (replaced(&QUERIES_NAMES), View::Whole);
    }
    let stored = replaced(&BLOCK_NAMES);
    for (third, part) in ["q", "k", "v"].into_iter().enumerate() {
        let from = format!(".self_attn.{part}_proj.");
        if stored.contains(&from) {
            return (stored.replacen(&from, ".attn.in_proj_", 1), View::Third(third));
        }
    }
    (stored, View::Whole)
}
