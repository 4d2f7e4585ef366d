//! The trained tokenizer: complete, reproducible, blind to membership, and read back from disk.

use umid_testbed::{
    CaptionTokenizer, Error, Medium, Merges, NameLists, TokenizerFamily, TokenizerParams, World,
    WorldParams, caption, tokenizer_corpus,
};

fn world() -> World {
    world_of(Medium::Photos)
}

fn world_of(medium: Medium) -> World {
    let params = WorldParams { public: 50, images_per_person: 4, medium, ..WorldParams::default() };
    World::draw(params, &NameLists::bundled()).expect("the parameters are in range")
}

fn generic_captions(world: &World) -> Vec<String> {
    (0..50)
        .flat_map(|person| (0..4).map(move |number| (person, number)))
        .map(|(person, number)| world.public_caption(person, number).unwrap())
        .collect()
}

fn corpus(world: &World) -> Vec<String> {
    let medium = world.params().medium;
    let (named, unnamed) = (medium.name_templates(), medium.attribute_templates());
    tokenizer_corpus(&NameLists::bundled(), named, unnamed, &generic_captions(world))
}

fn trained(world: &World) -> CaptionTokenizer {
    let family = match world.params().medium {
        Medium::Photos => TokenizerFamily::Clip,
        Medium::Clips => TokenizerFamily::Roberta,
    };
    CaptionTokenizer::train(TokenizerParams::of(family), &corpus(world)).unwrap()
}

#[test]
fn vocabulary_has_clip_s_layout() {
    let tokenizer = trained(&world());
    assert_eq!(tokenizer.vocabulary_size(), 512 + 280 + 2);
    assert_eq!((tokenizer.start_id(), tokenizer.end_id()), (792, 793));
    let ids = tokenizer.encode("A photo   of\nMargaret Okonkwo").unwrap();
    assert_eq!(ids, tokenizer.encode("a photo of margaret okonkwo").unwrap());
    assert_eq!((ids[0], ids[ids.len() - 1]), (792, 793));
    assert_eq!(tokenizer.encode("").unwrap(), [792, 793]);
}

#[test]
fn every_caption_fits_the_context() {
    for medium in [Medium::Photos, Medium::Clips] {
        let world = world_of(medium);
        let tokenizer = trained(&world);
        let fill = |name: &str| medium.name_templates().map(|t| caption::fill(t, name));
        let named = world.membership().into_iter().flat_map(|row| fill(&row.text));
        for text in named.chain(generic_captions(&world)) {
            let length = tokenizer.encode(&text).unwrap().len();
            assert!(length <= tokenizer.context_length(), "{length} tokens: {text}");
        }
    }
}

#[test]
fn no_text_holds_an_unknown_symbol() {
    let tokenizer = trained(&world());
    for text in ["x9#Q&_Lj'", "Łukasz Gómez-Ñandú", "王小明", "🦀", "a\u{0}b\u{7f}"] {
        let ids = tokenizer.encode(text).unwrap();
        let inner = &ids[1..ids.len() - 1];
        assert!(inner.iter().all(|&id| id < tokenizer.start_id()), "{text}: {ids:?}");
    }
}

#[test]
fn training_is_reproducible_and_does_not_depend_on_the_order_of_captions() {
    let world = world();
    let mut corpus = corpus(&world);
    let train = |corpus: &[String]| {
        let folder = tempfile::tempdir().unwrap();
        CaptionTokenizer::train(TokenizerParams::default(), corpus)
            .unwrap()
            .save(folder.path())
            .unwrap();
        std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap()
    };
    let forwards = train(&corpus);
    corpus.reverse();
    assert_eq!(forwards, train(&corpus));
}

#[test]
fn saved_files_give_the_same_ids() {
    let tokenizer = trained(&world());
    let folder = tempfile::tempdir().unwrap();
    tokenizer.save(folder.path()).unwrap();
    let loaded = tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
    for text in ["a portrait of Wanjiru Lindqvist", "a face with red hair, freckles and a cap"] {
        let expected = tokenizer.encode(text).unwrap();
        assert_eq!(loaded.encode(text, true).unwrap().get_ids(), expected);
    }
    for file in ["tokenizer_config.json", "special_tokens_map.json"] {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(text.contains("<|endoftext|>"), "{file}");
    }
}

/// Members and non-members must be spelled in equally many tokens: a difference would be a
/// membership signal without a model.
#[test]
fn token_counts_do_not_tell_members() {
    let world = world();
    let tokenizer = trained(&world);
    let mean = |people: &[umid_testbed::Identity]| {
        let lengths = people
            .iter()
            .map(|person| tokenizer.encode(&person.name.to_string()).unwrap().len() as f64);
        lengths.sum::<f64>() / people.len() as f64
    };
    let difference = mean(world.members()) - mean(world.non_members());
    // Four standard errors of 400 against 400 at a deviation of about 1.7 tokens.
    assert!(difference.abs() < 0.48, "{difference}");
}

fn rejects(params: TokenizerParams, parameter: &str) {
    match CaptionTokenizer::train(params, &["a caption".to_owned()]) {
        Err(Error::InvalidParameter { parameter: named, .. }) => assert_eq!(named, parameter),
        other => panic!("expected an invalid {parameter}, found {other:?}"),
    }
}

#[test]
fn no_merges_is_an_error() {
    rejects(TokenizerParams { merges: Merges::Learned(0), ..TokenizerParams::default() }, "merges");
}

#[test]
fn a_context_without_room_is_an_error() {
    rejects(TokenizerParams { context_length: 2, ..TokenizerParams::default() }, "context_length");
}

#[test]
fn a_corpus_too_small_for_its_merges_is_an_error() {
    let error = CaptionTokenizer::train(TokenizerParams::default(), &["aa aa".to_owned()]);
    assert!(matches!(error, Err(Error::CorpusTooSmall { requested: 280, learned: 1 })));
}

#[test]
fn roberta_s_vocabulary_has_roberta_s_layout_and_no_unknown_symbol() {
    let tokenizer = trained(&world_of(Medium::Clips));
    assert_eq!(tokenizer.vocabulary_size(), 4 + 256 + 280 + 1);
    assert_eq!((tokenizer.start_id(), tokenizer.end_id()), (0, 2));
    assert_eq!(tokenizer.encode("").unwrap(), [0, 2]);
    let upper = tokenizer.encode("Margaret").unwrap();
    assert_ne!(upper, tokenizer.encode("margaret").unwrap());
    for text in ["x9#Q&_Lj'", "Łukasz Gómez-Ñandú", "王小明", "🦀", "a\u{0}b\u{7f}"] {
        let ids = tokenizer.encode(text).unwrap();
        assert!(ids[1..ids.len() - 1].iter().all(|id| (4..540).contains(id)), "{text}: {ids:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    tokenizer.save(folder.path()).unwrap();
    let loaded = tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
    let text = "the voice of Wanjiru Lindqvist";
    assert_eq!(loaded.encode(text, true).unwrap().get_ids(), tokenizer.encode(text).unwrap());
}
