//! `umid inspect`: what a checkpoint directory holds.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;
use umid_models::Clip;

use super::Outcome;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Checkpoint directory
    model: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let model = Clip::load(&args.model, &umid_models::parse_device("cpu")?)?;
    let description = json!({
        "architecture": model.architecture(),
        "layout": model.source.layout,
        "digest": model.source.digest,
        "parameters": model.source.parameter_count,
        "dtypes": model.source.dtypes,
        "logit_scale": model.logit_scale(),
        "config": model.config,
        "tokenizer": {
            "context": model.tokenizer.context(),
            "vocabulary": model.config.text.vocabulary,
            "pooling": model.config.text.pooling,
        },
        "preprocess": model.preprocess,
    });
    if args.json {
        println!("{description:#}");
        return Ok(Outcome::Done);
    }
    println!("{:<14}{}", "architecture", model.architecture());
    println!("{:<14}{}", "layout", model.source.layout);
    println!("{:<14}{}", "digest", model.source.digest);
    println!("{:<14}{}", "parameters", model.source.parameter_count);
    let dtypes: Vec<String> =
        model.source.dtypes.iter().map(|(dtype, n)| format!("{n} {dtype}")).collect();
    println!("{:<14}{}", "tensors", dtypes.join(", "));
    println!("{:<14}{}", "embedding", model.config.embedding_dim);
    println!("{:<14}{:.2}", "logit scale", model.logit_scale());
    for (name, transformer) in [
        ("image tower", &model.config.image.transformer),
        ("text tower", &model.config.text.transformer),
    ] {
        println!("{name:<14}{}", compact(transformer));
    }
    println!(
        "{:<14}context {}, vocabulary {}, pooling {}",
        "tokenizer",
        model.tokenizer.context(),
        model.config.text.vocabulary,
        compact(&model.config.text.pooling)
    );
    println!("{:<14}{}", "preprocessing", compact(&model.preprocess));
    Ok(Outcome::Done)
}

fn compact(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    text.trim_matches(['{', '}']).replace('"', "").replace(',', ", ")
}
