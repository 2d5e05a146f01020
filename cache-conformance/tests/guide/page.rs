//! Follows the page.

use std::{fs, path::Path, sync::Arc};

use async_trait::async_trait;
use cache_conformance::{Clause, Factory, Outcome, Setup};
use cache_core::{Result, Store};

const PAGE: &str = include_str!("../../../docs/writing-a-backend.md");

/// A block of code, and what is to be done with it: `<!-- append: src/lib.rs -->`.
struct Block {
    verb: &'static str,
    file: &'static str,
    text: String,
}

/// All blocks of Rust and TOML. A block without an order is code that nobody checks.
fn blocks() -> Vec<Block> {
    let (mut blocks, mut order) = (Vec::new(), None);
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if let Some(found) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
            order = found.split_once(": ");
        } else if line == "```rust" || line == "```toml" {
            let text =
                lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
            let (verb, file) = order.take().unwrap_or_else(|| panic!("what becomes of this?\n{text}"));
            blocks.push(Block { verb, file, text });
        } else if line.starts_with("```") {
            assert_eq!(line, "```sh", "a block in a language that nobody checks");
            lines.by_ref().find(|line| *line == "```").unwrap();
        }
    }
    blocks
}

/// What the file is when the page was followed to its end.
fn followed(file: &str) -> String {
    let mut source = String::new();
    for block in blocks().iter().filter(|block| block.file == file) {
        match block.verb {
            "file" => source.clone_from(&block.text),
            "append" => source = format!("{source}\n{}", block.text),
            "replace" => block.text.split("\n\n").for_each(|method| replace(&mut source, method)),
            verb => panic!("nobody knows how to {verb}"),
        }
    }
    source
}

/// Replaces the one method of the same name.
fn replace(source: &mut String, method: &str) {
    let (head, _) = method.split_once('(').unwrap();
    let head = format!("\n    {head}(");
    let indented: String = method.trim_end().lines().map(|line| format!("    {line}\n")).collect();
    let indented = indented.replace("    \n", "\n");
    let (before, rest) = source.split_once(&head).unwrap_or_else(|| panic!("there is no{head}"));
    let (_, after) = rest.split_once("\n    }\n").unwrap();
    assert!(!after.contains(&head), "there are two of{head}");
    *source = format!("{before}\n{indented}{after}");
}

#[track_caller]
fn check(page: &str, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guide").join(file);
    let compiled = fs::read_to_string(path).unwrap();
    let differ = page.lines().zip(compiled.lines()).find(|(page, compiled)| page != compiled);
    assert_eq!(differ, None, "the page on the left, {file} on the right");
    assert_eq!(page.lines().count(), compiled.lines().count(), "{file} is as long as the page");
}

#[test]
fn page_begins_with_the_skeleton() {
    let first = blocks().into_iter().find(|block| block.file == "src/lib.rs").unwrap();
    assert_eq!(first.verb, "file");
    check(&first.text, "skeleton.rs");
}

#[test]
fn page_ends_with_the_finished_store_and_its_tests() {
    check(&followed("src/lib.rs"), "finished.rs");
    check(&followed("tests/it/main.rs"), "it.rs");
}

#[test]
fn page_asks_for_the_versions_of_this_workspace() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).unwrap();
    let quoted = |line: &str| {
        let at = line.find("version = ").map_or(0, |at| at + "version = ".len());
        line[at..].split('"').nth(1).unwrap().to_owned()
    };
    let page = followed("Cargo.toml");
    let wanted = page.split_once("[dependencies]").unwrap().1.lines().filter(|line| line.contains(" = "));
    let mut count = 0;
    for line in wanted {
        let (name, _) = line.split_once(" = ").unwrap();
        let ours = manifest.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
        assert_eq!(quoted(line), quoted(ours), "{name}");
        count += 1;
    }
    assert_eq!(count, 5);
}

/// What the suite says, by the page's table of failures, it can say.
#[test]
fn page_quotes_the_suite() {
    let clauses = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/clause");
    let mut suite = ["subject.rs", "run.rs"].map(|file| clauses.parent().unwrap().join(file)).to_vec();
    suite.extend(fs::read_dir(&clauses).unwrap().map(|entry| entry.unwrap().path()));
    let suite: String = suite.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let (_, table) = PAGE.split_once("| The suite says").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let quoted =
        table.lines().skip(2).flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let quoted: Vec<_> = quoted.collect();
    assert!(quoted.len() > 10, "{quoted:?}");
    for text in quoted {
        assert!(suite.contains(text), "the suite never says {text:?}");
    }
}

#[test]
fn page_links_to_files_that_are_there() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let links: Vec<_> = PAGE.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)).collect();
    assert!(!links.is_empty());
    for link in links {
        assert!(docs.join(link).is_file(), "{link}");
    }
}

struct Empty;

#[async_trait]
impl Factory for Empty {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(crate::skeleton::Shelf::new(setup.max_blob_bytes)))
    }
}

#[test]
fn skeleton_fails_and_says_what_is_missing() {
    let outcome = Clause::named("put_is_visible").unwrap().run(Empty);
    let Outcome::Failed(found) = outcome else { panic!("the skeleton stores something: {outcome}") };
    assert!(found.contains("shelf: put: unsupported by this store"), "{found}");
}
