//! `cargo xtask bank`: writes public photos or clips of a target's world, for `umid audit --bank`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use umid_eval::suites::Suite;
use umid_testbed::{NameLists, World, write_bank};

/// Write photos (PNG) or clips (WAV) of people in neither group of a target's world.
#[derive(Args)]
pub struct Arguments {
    /// Suite of the target.
    #[arg(long, default_value = "demo")]
    suite: String,
    /// Name of the target; the suite's first if none is given.
    #[arg(long)]
    target: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 2_000)]
    count: usize,
    /// The folder to write to.
    #[arg(long)]
    out: PathBuf,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut suite = Suite::load(&arguments.suite)?;
    if let Some(target) = &arguments.target {
        suite.retain_target(target)?;
    }
    let target = suite.targets.first().context("the suite has no target")?;
    let recipe = target.recipe().with_context(|| {
        format!("{} was published by others, and its people are not drawn here", target.name)
    })?;
    let world = World::draw(recipe.world, &NameLists::bundled())?;
    write_bank(&world, arguments.count, &arguments.out)?;
    eprintln!("{}: {} recordings", arguments.out.display(), arguments.count);
    Ok(())
}
