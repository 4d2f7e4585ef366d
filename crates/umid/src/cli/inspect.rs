//! `umid inspect`: what a checkpoint holds, and what was inferred and assumed.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;
use umid_models::{FrontEnd, LoadOptions, Model};

use super::Ended;
use super::options::ActivationArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Checkpoint: a directory, a file of weights, or ORG/NAME of a hub repository in the local
    /// cache
    model: PathBuf,
    #[command(flatten)]
    activation: ActivationArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ended> {
    let options = LoadOptions::default().with_activation(args.activation.given());
    let model = Model::load(&args.model, options)?;
    let front_end = match &model.front_end {
        FrontEnd::Image(preprocess) => json!(preprocess),
        FrontEnd::Audio(log_mel) => json!(log_mel.params()),
        FrontEnd::Absent { .. } => serde_json::Value::Null,
    };
    let provenance = &model.source.provenance;
    let description = json!({
        "name": model.source.name,
        "architecture": model.config.architecture(),
        "layout": model.source.layout,
        "digest": model.source.digest,
        "parameters": model.source.parameter_count,
        "dtypes": model.source.dtypes,
        "logit_scale": model.logit_scale(),
        "config": model.config,
        "tokenizer": {
            "context": model.tokenizer.context(),
            "vocabulary": model.config.text.vocabulary(),
        },
        "modality": model.modality(),
        "text_alone": model.without_input(),
        "preprocess": front_end,
        "provenance": provenance,
    });
    if args.json {
        println!("{description:#}");
        return Ok(Ended::Done);
    }
    println!("{:<14}{}", "architecture", model.config.architecture());
    println!("{:<14}{}", "layout", model.source.layout);
    println!("{:<14}{}", "digest", model.source.digest);
    println!("{:<14}{}", "parameters", model.source.parameter_count);
    let dtypes: Vec<String> =
        model.source.dtypes.iter().map(|(dtype, n)| format!("{n} {dtype}")).collect();
    println!("{:<14}{}", "tensors", dtypes.join(", "));
    println!("{:<14}{}", "embedding", model.config.embedding_dim);
    if model.logit_scale().is_finite() {
        println!("{:<14}{:.2}", "logit scale", model.logit_scale());
    }
    if let Some(bias) = model.logit_bias {
        println!("{:<14}{bias:.2}", "logit bias");
    }
    let input = match model.without_input() {
        Some(reason) => format!("none: {reason}"),
        None => compact(&model.config.input),
    };
    println!("{:<14}{input}", format!("{} tower", model.modality()));
    println!("{:<14}{}", "text tower", compact(&model.config.text));
    let (context, vocabulary) = (model.tokenizer.context(), model.config.text.vocabulary());
    println!("{:<14}context {context}, vocabulary {vocabulary}", "tokenizer");
    println!("{:<14}{}", "preprocessing", compact(&front_end));
    println!("{:<14}{}", "read", provenance.read.join(", "));
    for (what, lines) in [("inferred", &provenance.inferred), ("assumed", &provenance.assumed)] {
        for line in lines {
            println!("{what:<14}{line}");
        }
    }
    Ok(Ended::Done)
}

fn compact(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(&text);
    text.replace('"', "").replace(',', ", ")
}
