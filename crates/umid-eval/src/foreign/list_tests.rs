use std::fs;

use super::*;
use crate::error::chain;

/// A list of one file with this content.
struct Files {
    folder: tempfile::TempDir,
    list: List,
}

fn files(name: &str, content: &str) -> Files {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    let files = vec![ListFile { path: name.into(), member: None }];
    Files { folder, list: List { name: "people".into(), files, ..List::default() } }
}

impl Files {
    fn read(&self) -> crate::Result<Vec<Listed>> {
        self.list.read(self.folder.path())
    }

    fn error(&self) -> String {
        chain(&self.read().unwrap_err())
    }
}

#[test]
fn idias_lists_are_read_with_their_underscores() {
    let mut people = files(
        "actors_members.csv",
        ",name,num_samples_with_name_in_cap,gender,bins\n\
         0,Samuel_L._Jackson,135,m,\"(0.12, 0.129]\"\n1,Don_Cheadle,1516,m,\"(0.12, 0.129]\"\n",
    );
    people.list.files[0].member = Some(true);
    let listed = people.read().unwrap();
    assert_eq!(listed[0].query.text, "Samuel L. Jackson");
    let parts = listed[0].query.parts.clone().unwrap();
    assert_eq!(parts, ("Samuel".to_owned(), "L. Jackson".to_owned()));
    assert!(listed.iter().all(|name| name.member && name.exposures.is_none()));
    let numbers = BTreeMap::from([("num_samples_with_name_in_cap".to_owned(), 1516.0)]);
    assert_eq!(listed[1].numbers, numbers);
}

#[test]
fn a_count_of_captions_says_who_is_a_member() {
    let mut people = files(
        "counts.csv",
        ",name,count,membership,bin\n0,Ann Lee,0,non_member,\"[0, 25)\"\n\
         1,Jane Roe,36981,member,\"[300, 1000000)\"\n",
    );
    people.list.exposures = Some("count".into());
    let listed = people.read().unwrap();
    assert_eq!([listed[0].member, listed[1].member], [false, true]);
    assert_eq!(listed[1].exposures, Some(36_981));
    // The publisher's own column is as good.
    people.list.exposures = None;
    people.list.member = Some("membership".into());
    let again = people.read().unwrap();
    assert_eq!([again[0].member, again[1].member], [false, true]);
}

#[test]
fn salmus_identities_are_read_by_their_ids_and_joined_with_details() {
    let mut people = files(
        "identities_metadata.json",
        r#"{"12": {"name": "Ann Lee", "city": "Oslo", "age": 30, "tags": ["a"]},
            "7": {"name": "Jane van Roe", "city": "Rome"}}"#,
    );
    people.list.files[0].member = Some(true);
    people.list.details = Some("details.csv".into());
    // Details are optional.
    assert_eq!(people.read().unwrap()[0].group, None);
    let details = people.folder.path().join("details.csv");
    fs::write(&details, "id,group,exposures\n7,forget,80\n12,holdout_identity,3\n99,forget,1\n")
        .unwrap();
    let listed = people.read().unwrap();
    let by_id = |id: &str| listed.iter().find(|name| name.query.id == id).unwrap();
    assert_eq!(by_id("7").query.text, "Jane van Roe");
    assert_eq!(by_id("7").group.as_deref(), Some("forget"));
    assert_eq!(by_id("12").exposures, Some(3));
    assert_eq!(by_id("12").numbers["age"].to_bits(), 30.0_f64.to_bits());
    fs::write(&details, "id,group\n8,forget\n").unwrap();
    assert!(people.error().contains("none of its rows"), "{}", people.error());
}

#[test]
fn a_list_that_says_nothing_of_membership_names_its_columns_and_the_remedy() {
    let error = files("people.csv", "name,city\nAnn Lee,Oslo\n").error();
    assert!(error.contains("no column `member`") && error.contains("city, name"), "{error}");
    assert!(error.contains("add a column `member`"), "{error}");
    let error = files("people.csv", "who,member\nAnn Lee,true\n").error();
    assert!(error.contains("no column `name`") && error.contains("member, who"), "{error}");
}

#[test]
fn a_bad_row_is_named() {
    let refused = |content: &str, words: [&str; 2]| {
        let error = files("people.csv", content).error();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    refused("name,member\nAnn Lee,true\n,false\n", ["line 3", "name"]);
    refused("name,member\nAnn Lee,maybe\n", ["line 2", "maybe"]);
    refused("name,member\nAnn Lee,true\nJane Roe,\n", ["line 3", "nothing"]);
    refused("name,exposures\nAnn Lee,-3\n", ["line 2", "-3"]);
    refused("name,exposures\nAnn Lee,NaN\n", ["line 2", "not negative"]);
    refused("name,member\nAnn Lee,true\nann  lee,false\n", ["line 3", "line 2"]);
    refused("name,member\nAnn Lee\n", ["not a list of names in CSV", "line"]);
    refused("name,member\n", ["no names", "each row"]);
}

#[test]
fn json_that_is_no_list_is_refused() {
    let refused = |content: &str, word: &str| {
        let error = files("people.json", content).error();
        assert!(error.contains(word), "{error}");
    };
    refused("{\"1\": ", "not JSON");
    refused("3", "not an object of columns");
    refused("{\"1\": \"Ann Lee\"}", "entry \"1\"");
    refused("[{\"name\": \"Ann Lee\"}]", "no column `member`");
    let listed = files("people.json", "[{\"name\": \"Ann Lee\", \"member\": true}]").read();
    assert_eq!(listed.unwrap()[0].query.id, "n000001");
}

#[test]
fn a_missing_file_is_named() {
    let mut people = files("people.csv", "name,member\nAnn Lee,true\n");
    people.list.files[0].path = "nowhere.csv".into();
    assert!(people.error().contains("nowhere.csv"));
}
