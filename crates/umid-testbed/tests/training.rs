//! Training on a toy world: it learns, it repeats to the bit, and it goes on after a kill.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use umid_models::Precision;
use umid_models::config::{InputConfig, ModelConfig, TextConfig, TransformerConfig};
use umid_models::save::save;
use umid_models::{LoadOptions, Model};
use umid_testbed::{
    Architecture, CaptionTokenizer, CrawlParams, ImageSize, InputStatistics, Merges, NameLists,
    Progress, ResnetShape, TokenizerParams, TrainParams, Trained, World, WorldParams,
    initial_weights, tokenizer_corpus, train,
};

const STEPS: usize = 16;

struct Toy {
    world: World,
    tokenizer: CaptionTokenizer,
    model: Model,
    folder: tempfile::TempDir,
}

impl Toy {
    fn new() -> Self {
        Self::of(Architecture::default())
    }

    fn of(architecture: Architecture) -> Self {
        Self::in_world(architecture, None)
    }

    /// Eight members who are shown four or eight times: two epochs, of which a training here takes
    /// one and a half.
    fn of_a_crawl(architecture: Architecture) -> Self {
        let crawl = CrawlParams {
            exposures: vec![4, 8],
            people_per_level: 4,
            tail: 20,
            nobody: 0.5,
            epochs: 2,
            ..CrawlParams::default()
        };
        Self::in_world(architecture, Some(crawl))
    }

    fn in_world(architecture: Architecture, crawl: Option<CrawlParams>) -> Self {
        let lists = NameLists::bundled();
        let is_resnet = matches!(architecture, Architecture::Resnet(_));
        let params = WorldParams {
            members: 8,
            non_members: 8,
            public: 4,
            images_per_person: 2,
            medium: architecture.medium(),
            crawl,
            // A residual image tower takes no fewer than 32 pixels.
            image_size: ImageSize::new(if is_resnet { 32 } else { 16 }).expect("a size"),
            ..WorldParams::default()
        };
        let size = params.image_size;
        let world = World::draw(params, &lists).expect("a world");
        let params = TokenizerParams {
            merges: Merges::Learned(60),
            // A caption of a crawl in so few merges is long.
            context_length: 200,
            family: architecture.tokenizer_family(),
        };
        let templates = world.params().medium.name_templates();
        let corpus = tokenizer_corpus(&lists, templates, &[], &[]);
        let tokenizer = CaptionTokenizer::train(params, &corpus).expect("a tokenizer");
        let folder = tempfile::tempdir().expect("a folder");
        let config = toy_shape(architecture.config(&tokenizer, size));
        let front_end = architecture.front_end(size);
        let initial = folder.path().join("initial");
        let statistics = InputStatistics::measure(&world, &front_end).expect("statistics");
        let weights = initial_weights(&config, &statistics, 1).expect("weights");
        save(&initial, &config, &front_end, &weights, Precision::F32).expect("saved");
        tokenizer.save(&initial).expect("saved");
        let model = Model::load(&initial, LoadOptions::default().trainable()).expect("a model");
        Self { world, tokenizer, model, folder }
    }

    fn train(&self, checkpoints: Option<&Path>, progress: impl FnMut(Progress)) -> Trained {
        self.train_to(None, checkpoints, progress)
    }

    fn train_to(
        &self,
        stop_after: Option<usize>,
        checkpoints: Option<&Path>,
        progress: impl FnMut(Progress),
    ) -> Trained {
        let params = TrainParams {
            stop_after,
            steps: STEPS,
            names_per_batch: 6,
            generic_per_batch: 2,
            learning_rate: 3e-3,
            warmup_steps: 2,
            checkpoint_every: 5,
            ..TrainParams::default()
        };
        train(&self.model, &self.world, &self.tokenizer, &params, checkpoints, progress)
            .expect("trained")
    }
}

fn toy_shape(mut config: ModelConfig) -> ModelConfig {
    let small = |t: &mut TransformerConfig| {
        *t = TransformerConfig { width: 16, layers: 1, heads: 2, mlp_width: 32, ..t.clone() };
    };
    config.embedding_dim = 16;
    match &mut config.text {
        TextConfig::Clip(text) => small(&mut text.transformer),
        TextConfig::Bert(text) => {
            (text.width, text.layers, text.heads, text.mlp_width) = (16, 1, 2, 32);
        }
        other => panic!("no architecture here has {other:?}"),
    }
    match config.input.as_mut().expect("an input tower") {
        InputConfig::Vit(image) => small(&mut image.transformer),
        InputConfig::Htsat(htsat) => {
            (htsat.width, htsat.heads, htsat.depths) = (8, vec![1, 2], vec![2, 1]);
        }
        InputConfig::Resnet(image) => (image.layers, image.width, image.heads) = ([1; 4], 8, 2),
        InputConfig::Cnn14(cnn14) => cnn14.widths = [8, 16, 16, 32, 32, 32],
        other => panic!("no architecture here has {other:?}"),
    }
    config
}

#[test]
fn training_lowers_the_loss_and_repeats_to_the_bit() {
    let toy = Toy::new();
    let mut losses = Vec::new();
    let first = toy.train(None, |p| losses.push(p.loss));
    assert_eq!(losses.len(), STEPS);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (start, end) = (mean(&losses[..4]), mean(&losses[STEPS - 4..]));
    assert!(end < 0.9 * start, "the loss went from {start} to {end}");
    assert_eq!(toy.train(None, |_| ()), first);
}

/// What is trained is what is saved: a weight that training moves and saving forgets, or the other
/// way round, would show.
#[test]
fn what_is_trained_is_saved_whole_in_every_layout() {
    let resnet = Architecture::Resnet(ResnetShape::default());
    for architecture in [resnet, Architecture::Htsat, Architecture::Cnn14] {
        let toy = Toy::of(architecture);
        let mut losses = Vec::new();
        let trained = toy.train(None, |p| losses.push(p.loss));
        let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
        let (start, end) = (mean(&losses[..4]), mean(&losses[STEPS - 4..]));
        assert!(end < 0.95 * start, "{architecture:?}: the loss went from {start} to {end}");
        assert_eq!(toy.train(None, |_| ()), trained);

        let Model { config, front_end, .. } = &toy.model;
        let saved = toy.folder.path().join("saved");
        save(&saved, config, front_end, &trained.tensors, Precision::F32).expect("saved");
        toy.tokenizer.save(&saved).expect("saved");
        let again = Model::load(&saved, LoadOptions::default().trainable()).expect("a model");
        // The next training begins where the last one ended.
        let toy = Toy { model: again, ..toy };
        let mut first = None;
        toy.train(None, |p| first = first.or(Some(p.loss)));
        let first = first.expect("a step");
        assert!(first < end + 0.5 * (start - end), "{architecture:?}: {first} after {end}");
    }
}

#[test]
fn a_killed_training_goes_on_to_the_same_weights() {
    goes_on_to_the_same_weights(&Toy::new());
}

#[test]
fn a_killed_training_on_a_crawl_goes_on_to_the_same_weights() {
    for architecture in [Architecture::default(), Architecture::Htsat] {
        goes_on_to_the_same_weights(&Toy::of_a_crawl(architecture));
    }
}

fn goes_on_to_the_same_weights(toy: &Toy) {
    let uninterrupted = toy.train(None, |_| ());
    let checkpoints = toy.folder.path().join("checkpoints");
    let killed = catch_unwind(AssertUnwindSafe(|| {
        toy.train(Some(&checkpoints), |progress| assert!(progress.step < 13, "killed"));
    }));
    assert!(killed.is_err());
    let mut steps = Vec::new();
    let resumed = toy.train(Some(&checkpoints), |progress| steps.push(progress.step));
    assert_eq!(steps, (11..=STEPS).collect::<Vec<_>>());
    assert_eq!(resumed.tensors, uninterrupted.tensors);
    assert!(!checkpoints.exists(), "the checkpoints outlive the training");
}

#[test]
fn a_stop_is_on_the_way_to_the_whole_training() {
    let toy = Toy::new();
    let checkpoints = toy.folder.path().join("checkpoints");
    let steps = |stop, folder: Option<&Path>| {
        let mut steps = Vec::new();
        let trained = toy.train_to(stop, folder, |progress| steps.push(progress.step));
        (steps, trained)
    };
    let (first, stopped) = steps(Some(7), Some(&checkpoints));
    assert_eq!(first, (1..=7).collect::<Vec<_>>());
    // A later stop goes on from there, an earlier one starts afresh.
    let (more, whole) = steps(None, Some(&checkpoints));
    assert_eq!(more, (8..=STEPS).collect::<Vec<_>>());
    assert_eq!(whole.tensors, toy.train(None, |_| ()).tensors);
    assert_ne!(whole.tensors, stopped.tensors);
    steps(Some(7), Some(&checkpoints));
    let (again, earlier) = steps(Some(3), Some(&checkpoints));
    assert_eq!(again, [1, 2, 3]);
    assert_eq!(earlier, steps(Some(3), None).1);
}

#[test]
fn a_checkpoint_of_another_training_is_left_alone() {
    let (toy, other) = (Toy::new(), Toy::new());
    let checkpoints = toy.folder.path().join("checkpoints");
    let killed = catch_unwind(AssertUnwindSafe(|| {
        let params = TrainParams {
            steps: STEPS,
            names_per_batch: 6,
            generic_per_batch: 2,
            checkpoint_every: 1,
            seed: 9,
            ..TrainParams::default()
        };
        let Toy { model, world, tokenizer, .. } = &other;
        train(model, world, tokenizer, &params, Some(&checkpoints), |p| assert!(p.step < 3))
            .expect("trained");
    }));
    assert!(killed.is_err());
    let mut steps = 0;
    toy.train(Some(&checkpoints), |_| steps += 1);
    assert_eq!(steps, STEPS);
}
