//! The tokenizer.

use super::*;

#[test]
fn missing_tokenizer() {
    let checkpoint = Checkpoint::copy(SHARDED);
    checkpoint.remove("tokenizer.json");
    let parts = ["tokenizer.json", "vocab.json with merges.txt", "copy it from"];
    assert_variant!(refused(&checkpoint, &parts), MissingFile);

    let checkpoint = Checkpoint::copy("hf-gelu");
    checkpoint.remove("merges.txt");
    assert_variant!(refused(&checkpoint, &parts), MissingFile);
}

#[test]
fn broken_tokenizer() {
    let checkpoint = Checkpoint::copy(HF);
    let whole = checkpoint.read("tokenizer.json");
    for bytes in [&b"{}"[..], b"", b"null", b"\xff", &whole[..whole.len() / 2]] {
        checkpoint.write("tokenizer.json", bytes);
        let parts = ["tokenizer.json", "does not load", "copy tokenizer.json"];
        assert_variant!(refused(&checkpoint, &parts), Tokenizer);
    }
    for (file, bytes) in [
        ("vocab.json", "{"),
        ("vocab.json", "{}"),
        ("merges.txt", "a b c d\n"),
        // Longer than any token of the vocabulary, on which the tokenizer library panics.
        ("merges.txt", "<|startoftext|> <|endoftext|>\n"),
    ] {
        let checkpoint = Checkpoint::copy("hf-gelu");
        checkpoint.write(file, bytes);
        assert_variant!(refused(&checkpoint, &["does not load", "merges.txt"]), Tokenizer);
    }
}

#[test]
fn tokenizer_without_start_and_end_token() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.edit_json("tokenizer.json", |tokenizer| tokenizer["post_processor"] = Value::Null);
    let parts = ["tokenizer.json", "adds 0 special token(s)", "copy tokenizer.json"];
    assert_variant!(refused(&checkpoint, &parts), Tokenizer);
}

/// Nothing is ever decoded, so that this is no error; the tokenizer library would panic.
#[test]
fn tokenizer_with_an_unknown_decoder() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.edit_json("tokenizer.json", |tokenizer| {
        tokenizer["decoder"] = json!({ "type": "Telepathy" });
    });
    checkpoint.load().expect("a tokenizer that encodes");
}

#[test]
fn tokenizer_of_a_larger_vocabulary() {
    let checkpoint = Checkpoint::copy("hf-gelu");
    let last = 64;
    checkpoint.edit_json("config.json", |config| {
        config["text_config"]["vocab_size"] = json!(last);
        config["text_config"]["eos_token_id"] = json!(last - 1);
    });
    checkpoint.edit_tensor("text_model.embeddings.token_embedding.weight", |tensor| {
        tensor.bytes.truncate(last * 32 * 4);
        tensor.shape[0] = last;
    });
    let model = checkpoint.load().expect("the files fit each other as far as they say");
    let error = model.tokenizer.tokenize("zoë").expect_err("an id beyond the vocabulary");
    assert_message(&error, &["zoë", "has 64 entries", "the tokenizer belongs to another model"]);
    assert_variant!(error, TokenOutOfVocabulary);
}
