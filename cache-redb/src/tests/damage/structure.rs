//! Damage of the pages that hold the database together. What it makes of that may end the process, and not by a panic.

use std::{
    env,
    process::{Command, Output},
};

use super::*;
use crate::checked_pages::tests::used_of;

/// One of so many bits.
fn every() -> usize {
    if is_long() { 3 } else { 37 }
}

#[test]
fn no_damage_of_what_holds_a_database_together_ends_the_process() {
    let damage = "tests::damage::structure::damage_of_what_holds_a_database_together_is_found_or_harmless";
    let Output { status, stdout, stderr } = Command::new(env::current_exe().unwrap())
        .args(["--exact", damage, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let (told, panics) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let last: Vec<_> = panics.lines().rev().take(40).collect();
    let last: Vec<_> = last.into_iter().rev().collect();
    assert!(status.success() && told.contains("1 passed"), "{status}\n{told}\n{}", last.join("\n"));
}

#[test]
#[ignore = "an abort would end all tests: another test runs it in a process of its own"]
fn damage_of_what_holds_a_database_together_is_found_or_harmless() {
    let state = state();
    let pages = closed(&state);
    let bits: Vec<_> =
        used_of(&pages).into_iter().flatten().flat_map(|byte| (0..8).map(move |bit| (byte, bit))).collect();
    assert!(bits.len() > 20_000, "there are more: {}", bits.len());
    let cases: Vec<_> = bits.into_iter().step_by(every()).collect();
    try_all("bits flipped in what holds a database together", &cases, |at, (byte, bit), counts| {
        let mut pages = pages.clone();
        flip(&mut pages, *byte, *bit);
        block_on(examine(&MemoryMedium::of(pages), &state, at % 4 == 0, counts))?;
        match counts.refused.load(Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err("the database cannot be opened, and stays where it is".to_owned()),
        }
    });
}
