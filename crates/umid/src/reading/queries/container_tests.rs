//! One list in every packing, and what is refused of each.

use std::io::Write;
use std::path::PathBuf;

use super::*;
use crate::queries::{ColumnNames, NameFile, QueryOptions, read_queries};
use arrow_array::{BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, StringArray};

const CSV: &str =
    "id,text,member,exposures\n7,Ann Lee,true,12\nb,Jos\u{e9} Day,false,0\n9,Cher,,\n";

fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (directory, path)
}

fn read(name: &str, bytes: &[u8]) -> Result<NameFile, QueriesError> {
    let (_directory, path) = file(name, bytes);
    read_queries(&path, &QueryOptions::default())
}

fn batch() -> RecordBatch {
    let column = |name: &str, values: ArrayRef| (name.to_owned(), values, true);
    RecordBatch::try_from_iter_with_nullable([
        column("id", Arc::new(StringArray::from(vec!["7", "b", "9"]))),
        column("text", Arc::new(StringArray::from(vec!["Ann Lee", "Jos\u{e9} Day", "Cher"]))),
        column("member", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        // As pandas has whole numbers some of which are missing.
        column("exposures", Arc::new(Float64Array::from(vec![Some(12.0), Some(0.0), None]))),
    ])
    .unwrap()
}

fn parquet_of(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn arrow_of(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn stream_of(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const JSON_LINES: &str = "{\"id\": 7, \"text\": \"Ann Lee\", \"member\": true, \"exposures\": 12}\n\n\
    {\"text\": \"Jos\\u00e9 Day\", \"id\": \"b\", \"member\": false, \"exposures\": 0}\n\
    {\"id\": \"9\", \"text\": \"Cher\", \"member\": null}";

#[test]
fn a_list_is_the_same_however_it_is_packed() {
    let expected = read("names.csv", CSV.as_bytes()).unwrap();
    assert_eq!(expected.queries.len(), 3);
    assert_eq!(expected.answers.exposures("7"), Some(12));
    let tabs = CSV.replace(',', "\t");
    let zstd = zstd::encode_all(CSV.as_bytes(), 3).unwrap();
    for (name, bytes) in [
        ("names.tsv", tabs.into_bytes()),
        ("names.jsonl", JSON_LINES.as_bytes().to_vec()),
        // Without an ending that says so, as on the standard input.
        ("names", JSON_LINES.as_bytes().to_vec()),
        ("names.parquet", parquet_of(&batch())),
        ("names", parquet_of(&batch())),
        ("names.arrow", arrow_of(&batch())),
        ("names.feather", arrow_of(&batch())),
        ("names.arrows", stream_of(&batch())),
        ("names.csv.gz", gzip(CSV.as_bytes())),
        ("names.csv.zst", zstd),
        ("names.jsonl.gz", gzip(JSON_LINES.as_bytes())),
        ("names.parquet.gz", gzip(&parquet_of(&batch()))),
    ] {
        let found = read(name, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn numbers_of_every_width_and_words_of_a_dictionary_are_read() {
    let words: arrow_array::DictionaryArray<arrow_array::types::Int8Type> =
        ["Ann Lee", "Bo Day", "Ann Lee"].into_iter().collect();
    let batch = RecordBatch::try_from_iter([
        ("name", Arc::new(words) as ArrayRef),
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        ("member", Arc::new(Int32Array::from(vec![1, 0, 1])) as ArrayRef),
    ])
    .unwrap();
    let file = read("names.parquet", &parquet_of(&batch)).unwrap();
    let texts: Vec<&str> = file.queries.iter().map(|query| query.text.as_str()).collect();
    assert_eq!(texts, ["Ann Lee", "Bo Day", "Ann Lee"]);
    assert_eq!(file.answers.member("2"), Some(false));
}

#[test]
fn columns_of_other_names_are_read_and_missing_ones_named() {
    let options = |text: &str| QueryOptions {
        columns: ColumnNames { text: Some(text.to_owned()), ..ColumnNames::default() },
        ..QueryOptions::default()
    };
    let (_a, csv) = file("names.csv", b"key,person\n1,Ann Lee\n");
    let (_b, lines) = file("names.jsonl", b"{\"person\": \"Ann Lee\"}\n");
    for path in [&csv, &lines] {
        let found = read_queries(path, &options("person")).unwrap();
        assert_eq!(found.queries[0].text, "Ann Lee");
        let error = read_queries(path, &options("nobody")).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, QueriesError::NoSuchColumn { .. }), "{message}");
        assert!(message.contains("`nobody`") && message.contains("person"), "{message}");
    }
}

#[test]
fn what_is_damaged_or_nested_is_refused_with_its_place() {
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() * 2 / 3);
        bytes
    };
    let nested =
        ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>([Some([Some(1)])]);
    let nested = RecordBatch::try_from_iter([("text", Arc::new(nested) as ArrayRef)]).unwrap();
    for (name, bytes, expected) in [
        ("a.parquet", cut(parquet_of(&batch())), "Parquet"),
        ("a.arrow", cut(arrow_of(&batch())), "Arrow"),
        ("a.csv.gz", cut(gzip(CSV.repeat(50).as_bytes())), "gzip"),
        ("a.csv.zst", cut(zstd::encode_all(CSV.repeat(50).as_bytes(), 3).unwrap()), "Zstandard"),
        ("a.jsonl", b"{\"text\": \"Ann Lee\"}\n[1]\n".to_vec(), "line 2"),
        ("b.jsonl", b"{\"text\": \"Ann Lee\"\n".to_vec(), "line 1"),
        ("c.jsonl", b"{\"text\": {\"first\": \"Ann\"}}\n".to_vec(), "object on line 1"),
        ("d.jsonl", b"{\"person\": \"Ann Lee\"}\n".to_vec(), "`person`"),
        ("e.jsonl", b"{\"text\": \"\"}\n".to_vec(), "line 1"),
        ("b.parquet", parquet_of(&nested), "`text`"),
        ("f.jsonl", b"\n\n".to_vec(), "no names"),
    ] {
        let error = read(name, &bytes).expect_err(name);
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
}

#[test]
fn a_nested_column_that_nothing_is_read_from_does_no_harm() {
    let line = b"{\"text\": \"Ann Lee\", \"tags\": [1, 2]}\n";
    assert_eq!(read("names.jsonl", line).unwrap().queries[0].text, "Ann Lee");
}
