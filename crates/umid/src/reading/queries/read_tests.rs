//! Tests of the list reader: what each kind of file gives, and one test an error.

use proptest::prelude::*;

use super::*;

fn read_as(name: &str, content: &[u8]) -> Result<NameFile, QueriesError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join(name);
    std::fs::write(&path, content).expect("written");
    read_queries(&path, &QueryOptions::default())
}

fn texts(file: &NameFile) -> Vec<(&str, &str)> {
    file.queries.iter().map(|q| (q.id.as_str(), q.text.as_str())).collect()
}

#[test]
fn plain_text_has_line_numbers_as_ids() {
    let file = read_as("names.txt", b"\xef\xbb\xbfJane Roe\r\n\r\n  Cher \r\nAnn Lee").unwrap();
    assert_eq!(texts(&file), [("1", "Jane Roe"), ("3", "Cher"), ("4", "Ann Lee")]);
    assert_eq!(file.queries[0].parts, Some(("Jane".into(), "Roe".into())));
    assert_eq!(file.queries[1].parts, None);
    assert!(file.warnings.is_empty());
}

#[test]
fn csv_is_told_by_its_header_whatever_the_file_is_called() {
    for name in ["q.csv", "q.CSV", "q.txt", "q"] {
        let file =
            read_as(name, b"\xef\xbb\xbfID, Text\r\na,\"Roe, Jane\"\r\nb, Cher\r\n").unwrap();
        assert_eq!(texts(&file), [("a", "Roe, Jane"), ("b", "Cher")], "{name}");
    }
    let file = read_as("q.csv", b"name\nJane Roe\n\nCher\n").unwrap();
    assert_eq!(texts(&file), [("2", "Jane Roe"), ("4", "Cher")]);
}

#[test]
fn two_columns_make_a_name_of_two_parts() {
    let file = read_as("q.csv", b"last,first,id\nvan Roe,Jane,7\n").unwrap();
    assert_eq!(texts(&file), [("7", "Jane van Roe")]);
    assert_eq!(file.queries[0].parts, Some(("Jane".into(), "van Roe".into())));
}

#[test]
fn text_with_part_columns_may_leave_both_parts_empty() {
    let file = read_as("q.csv", b"text,first,last\nAnn Lee,Ann,Lee\nJane Roe,,\n").unwrap();
    assert_eq!(file.queries[0].parts, Some(("Ann".into(), "Lee".into())));
    assert_eq!(file.queries[1].parts, None);
}

#[test]
fn a_part_rule_of_none_splits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.txt");
    std::fs::write(&path, "Jane Roe\n").unwrap();
    let file =
        read_queries(&path, &QueryOptions { parts: PartRule::None, ..QueryOptions::default() })
            .unwrap();
    assert_eq!(file.queries[0].parts, None);
}

#[test]
fn repeated_names_and_unread_columns_are_warned_of_without_the_names() {
    let file = read_as("q.csv", b"text,age\nJane Roe,3\nCher,4\njane  roe,5\n").unwrap();
    assert_eq!(file.queries.len(), 3);
    let all = file.warnings.join("\n");
    assert!(all.contains("lines 2 and 4") && all.contains("age"), "{all}");
    assert!(!all.to_lowercase().contains("roe"), "{all}");
}

#[test]
fn read_file_error_for_a_missing_file_and_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("absent.csv"), dir.path().to_owned()] {
        let error = read_queries(&path, &QueryOptions::default()).unwrap_err();
        assert!(matches!(error, QueriesError::ReadFile { .. }), "{error}");
    }
}

#[test]
fn file_too_large_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    // Sparse: takes no disk.
    File::create(&path).unwrap().set_len(MAX_LIST_BYTES + 1).unwrap();
    let error = read_queries(&path, &QueryOptions::default()).unwrap_err();
    assert!(matches!(error, QueriesError::FileTooLarge { .. }), "{error}");
}

#[test]
fn not_utf8_error_has_line_and_offset() {
    let error = read_as("q.txt", b"Jane\nJos\xe9\n").unwrap_err();
    assert!(matches!(error, QueriesError::NotUtf8 { line: 2, byte_offset: 8, .. }), "{error}");
}

#[test]
fn utf16_error_says_which_and_how_to_convert_it() {
    for (content, encoding) in [
        (&b"\xff\xfet\0e\0x\0t\0"[..], "UTF-16"),
        (b"\xfe\xff\0t\0e\0x\0t", "UTF-16"),
        (b"t\0e\0x\0t\0", "UTF-16LE"),
        (b"\0t\0e\0x\0t", "UTF-16BE"),
    ] {
        let error = read_as("q.csv", content).unwrap_err();
        assert!(matches!(error, QueriesError::Utf16 { .. }), "{error}");
        assert!(error.to_string().contains(&format!("iconv -f {encoding} -t UTF-8)")), "{error}");
    }
}

#[test]
fn columns_may_be_separated_by_semicolons_and_tabs() {
    for name in ["q.csv", "q.txt"] {
        for content in
            ["id;text\n1;Jane Roe\n2;\"Lee, Ann\"\n", "id\ttext\n1\tJane Roe\n2\tLee, Ann\n"]
        {
            let file = read_as(name, content.as_bytes()).unwrap();
            assert_eq!(texts(&file), [("1", "Jane Roe"), ("2", "Lee, Ann")], "{name} {content:?}");
        }
    }
    let file = read_as("q.csv", b"first;last\r\nJane;van Roe\r\n").unwrap();
    assert_eq!(file.queries[0].parts, Some(("Jane".into(), "van Roe".into())));
}

#[test]
fn separated_line_error_for_rows_of_columns_in_a_plain_list() {
    for row in ["1;Jane Roe", "Jane;Roe", "12,Jane Roe", "\"7\" , Jane", "Jane|Roe"] {
        let error = read_as("q.txt", format!("Ann Lee\n{row}\n").as_bytes()).unwrap_err();
        assert!(matches!(error, QueriesError::SeparatedLine { line: 2, .. }), "{error}");
        // The remedy works.
        let quoted = format!("text\n\"{}\"\n", row.replace('"', "\"\""));
        assert_eq!(read_as("q.txt", quoted.as_bytes()).unwrap().queries[0].text, row);
    }
    for name in ["Roe, Jane", "Henry 8, King", "50 Cent", "2Pac", "Martin Luther King, Jr."] {
        assert_eq!(read_as("q.txt", name.as_bytes()).unwrap().queries[0].text, name);
    }
}

#[test]
fn no_names_error_for_empty_blank_and_header_only_files() {
    for (name, content) in [
        ("q.txt", &b""[..]),
        ("q.csv", b""),
        ("q.txt", b"\xef\xbb\xbf"),
        ("q.txt", b" \n\t\r\n"),
        ("q.csv", b"id,text\n\n"),
    ] {
        let error = read_as(name, content).unwrap_err();
        assert!(matches!(error, QueriesError::NoNames { .. }), "{error}");
    }
}

#[test]
fn unknown_header_error_for_csv_only() {
    for (content, is_list) in
        [("Jane Roe\nCher\n", true), ("id,first\n1,Jane\n", false), ("nr;nom\n1;Jane\n", false)]
    {
        let error = read_as("q.csv", content.as_bytes()).unwrap_err();
        assert!(matches!(error, QueriesError::UnknownHeader { .. }), "{error}");
        // The advice to call it a plain list is given where it helps.
        assert_eq!(error.to_string().contains(".txt"), is_list, "{error}");
        assert_eq!(read_as("q.txt", content.as_bytes()).is_ok(), is_list);
    }
}

#[test]
fn ambiguous_header_error() {
    for header in ["text,name", "id,text,ID", "first,last,First"] {
        let error = read_as("q.csv", format!("{header}\n").as_bytes()).unwrap_err();
        assert!(matches!(error, QueriesError::AmbiguousHeader { .. }), "{error}");
    }
}

#[test]
fn row_length_error_names_the_line() {
    let error = read_as("q.csv", b"id,text\n\n\n1,Roe, Jane\n").unwrap_err();
    let wanted = matches!(error, QueriesError::RowLength { line: 4, expected: 2, found: 3, .. });
    assert!(wanted, "{error}");
}

#[test]
fn empty_field_error_names_line_and_column() {
    for (content, wanted) in [
        (&b"id,text\n1, \n"[..], "text"),
        (b"id,text\n,Jane\n", "id"),
        (b"first,last\nJane,\n", "last"),
        (b"text,first,last\nJane Roe,,Roe\n", "first"),
    ] {
        let error = read_as("q.csv", content).unwrap_err();
        let QueriesError::EmptyField { line: 2, column, .. } = error else { panic!("{error}") };
        assert_eq!(column, wanted);
    }
}

#[test]
fn parts_mismatch_error() {
    let error = read_as("q.csv", b"text,first,last\nDr Jane Roe,Jane,Roe\n").unwrap_err();
    assert!(matches!(error, QueriesError::PartsMismatch { line: 2, .. }), "{error}");
}

#[test]
fn text_too_long_error_refuses_a_megabyte_name() {
    let name = "x".repeat(1 << 20);
    for (file, content) in
        [("q.txt", format!("Cher\n{name}\n")), ("q.csv", format!("text\n{name}"))]
    {
        let error = read_as(file, content.as_bytes()).unwrap_err();
        let QueriesError::TextTooLong { line: 2, bytes, .. } = error else { panic!("{error}") };
        assert_eq!(bytes, 1 << 20);
        assert!(error.to_string().len() < 300);
    }
    assert!(read_as("q.txt", "x".repeat(MAX_NAME_BYTES).as_bytes()).is_ok());
    assert!(read_as("q.txt", "x".repeat(MAX_NAME_BYTES + 1).as_bytes()).is_err());
}

#[test]
fn invisible_character_error() {
    for (name, content) in [
        ("q.txt", &b"Jane\tRoe\n"[..]),
        ("q.txt", b"Jane\0Roe\n"),
        ("q.csv", b"text\nJane\x1bRoe\n"),
        ("q.csv", b"text\n\"Jane\nRoe\nAnn Lee\n"),
        ("q.txt", "Jane\u{85}Roe".as_bytes()),
        ("q.txt", "Jane\u{200b} Roe".as_bytes()),
        ("q.csv", "id,text\n1\u{ad},Jane".as_bytes()),
        ("q.csv", "\u{feff}text\nJane Roe\n\u{feff}text\nAnn Lee\n".as_bytes()),
        ("q.txt", b"Jane\rAnn\r"),
        ("q.csv", b"text\rJane\rAnn\r"),
    ] {
        let error = read_as(name, content).unwrap_err();
        assert!(matches!(error, QueriesError::InvisibleCharacter { .. }), "{error}");
    }
}

#[test]
fn duplicate_id_error_names_both_lines() {
    let error = read_as("q.csv", b"id,text\n1,Jane\n2,Ann\n\n1,Cher\n").unwrap_err();
    let wanted = matches!(error, QueriesError::DuplicateId { first_line: 2, second_line: 5, .. });
    assert!(wanted, "{error}");
}

#[test]
fn lines_are_counted_across_quoted_and_blank_lines() {
    let list: Vec<usize> =
        records("a\n\n\r\n\"b\nb\"\n  \nc\n", b',').map(|(line, _)| line).collect();
    assert_eq!(list, [1, 4, 7]);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        content in prop::collection::vec(any::<u8>(), 0..200),
        header in prop::sample::select(vec!["", "text\n", "id,text\n", "first,last\n"]),
        name in prop::sample::select(vec!["q.csv", "q.txt"]),
    ) {
        let bytes = [header.as_bytes(), &content].concat();
        let _ = read_as(name, &bytes);
    }

    #[test]
    fn written_csv_is_read_back(names in prop::collection::vec("[a-zé,\"' ]{0,12}[a-z]", 1..20)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["id", "text"]).unwrap();
        for (i, name) in names.iter().enumerate() {
            writer.write_record([&format!("q{i}"), name]).unwrap();
        }
        let file = read_as("q.csv", &writer.into_inner().unwrap()).unwrap();
        let wanted: Vec<&str> = names.iter().map(|name| name.trim()).collect();
        let found: Vec<&str> = file.queries.iter().map(|q| q.text.as_str()).collect();
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn columns_say_what_is_known_of_a_name() {
    let file = read_as(
        "q.csv",
        b"name,Member,EXPOSURES\nAnn Lee,Yes,\nBo Roe,0,0\nCy Poe,,7\nDi Fox,,\nEva Day,false,\n",
    )
    .unwrap();
    assert!(file.warnings.is_empty(), "{:?}", file.warnings);
    let of = |id| (file.answers.member(id), file.answers.exposures(id));
    assert_eq!(of("2"), (Some(true), None));
    assert_eq!(of("3"), (Some(false), Some(0)));
    assert_eq!(of("4"), (Some(true), Some(7)));
    assert_eq!(of("5"), (None, None));
    assert_eq!(of("6"), (Some(false), None));
    // The names are the same without.
    let without = read_as("q.csv", b"name\nAnn Lee\nBo Roe\nCy Poe\nDi Fox\nEva Day\n").unwrap();
    assert_eq!(file.queries, without.queries);
    assert!(without.answers.is_empty());
}

#[test]
fn answer_error() {
    for (row, column, found) in
        [("Ann Lee,maybe,", "member", "maybe"), ("Ann Lee,,-1", "exposures", "-1")]
    {
        let list = format!("name,member,exposures\nBo Roe,,\n{row}\n");
        let error = read_as("q.csv", list.as_bytes()).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, QueriesError::Answer { line: 3, .. }), "{message}");
        assert!([column, found, "leave the field empty"].iter().all(|word| message.contains(word)));
    }
}

#[test]
fn contradiction_error() {
    for row in ["Ann Lee,no,3", "Ann Lee,yes,0"] {
        let list = format!("name,member,exposures\n{row}\n");
        let error = read_as("q.csv", list.as_bytes()).unwrap_err();
        assert!(matches!(error, QueriesError::Contradiction { line: 2, .. }), "{error}");
    }
    let twice = read_as("q.csv", b"name,member,MEMBER\nAnn Lee,1,1\n").unwrap_err();
    assert!(matches!(twice, QueriesError::AmbiguousHeader { role: "member", .. }), "{twice}");
}
