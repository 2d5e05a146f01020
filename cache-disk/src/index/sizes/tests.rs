use std::fs;

use rustix::fs::{Mode, OFlags};

use super::*;

fn open(path: &std::path::Path, number: u64, is_nothing: bool) -> Sizes {
    let flags = OFlags::RDWR | OFlags::CREATE;
    let file = rustix::fs::open(path, flags, Mode::RWXU).unwrap();
    Sizes::begin(file, || Ok(number), || is_nothing).unwrap()
}

fn cell(bytes: u64) -> Cell {
    Cell { bytes, log: 80, compacted: 16 }
}

#[test]
fn the_sizes_are_pinned_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sizes");
    let sizes = open(&path, 1, true);
    sizes.write_cell(0, cell(1000)).unwrap();
    sizes.write_cell(255, cell(u64::MAX - 1000)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // The boot is another one each time.
    bytes[BOOT..BOOT + 8].fill(0xbb);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let ends = hex(&bytes[..HEADER + CELL]) + &hex(&bytes[LEN - CELL..]);
    assert_eq!(ends, include_str!("../golden-sizes-v1.hex").split_whitespace().collect::<String>());
    assert_eq!(bytes.len(), 6208);
    assert!(bytes[HEADER + CELL..LEN - CELL].iter().all(|byte| *byte == 0));
}

#[test]
fn all_cells_are_added_up_and_survive_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sizes");
    for shard in 0..=255 {
        open(&path, 1, true).write_cell(shard, cell(u64::from(shard))).unwrap();
    }
    let totals = open(&path, 1, false).totals().unwrap();
    assert_eq!((totals.bytes, totals.logs), (255 * 128, 256 * 80));
    assert!(totals.sound && !totals.suspect && !totals.lost);
    assert_eq!(open(&path, 1, false).with_cell(7).unwrap().1, Some(cell(7)));
}

#[test]
fn a_file_of_no_known_form_is_made_anew_and_suspect() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sizes");
    open(&path, 1, true).write_cell(3, cell(9)).unwrap();
    let good = fs::read(&path).unwrap();
    let mut other_version = good.clone();
    other_version[8] = 2;
    for bad in [Vec::new(), vec![0; LEN], good[..LEN - 1].to_vec(), other_version, vec![7; 3 * LEN]] {
        fs::write(&path, &bad).unwrap();
        let totals = open(&path, 5, false).totals().unwrap();
        assert_eq!((totals.bytes, totals.suspect, totals.asked, totals.lost), (0, true, 5, false));
        assert_eq!(fs::metadata(&path).unwrap().len(), LEN as u64);
    }
}

#[test]
fn another_boot_makes_it_suspect_and_keeps_the_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sizes");
    open(&path, 1, true).write_cell(3, cell(9)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[BOOT] ^= 1;
    fs::write(&path, bytes).unwrap();
    let totals = open(&path, 5, false).totals().unwrap();
    assert_eq!((totals.bytes, totals.suspect), (9, true));
    assert_eq!(open(&path, 6, false).totals().unwrap().asked, 5, "only the first one asks");
}

#[test]
fn a_cell_that_is_garbled_is_none_and_a_file_with_one_not_sound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sizes");
    let sizes = open(&path, 1, true);
    sizes.write_cell(3, cell(9)).unwrap();
    let good = fs::read(&path).unwrap();
    for at in place(3)..place(4) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&path, bad).unwrap();
        assert_eq!(sizes.with_cell(3).unwrap().1, None);
        assert!(!sizes.totals().unwrap().sound);
    }
    let (from, to) = (place(3)..place(4), place(4)..place(5));
    let mut moved = good;
    moved.copy_within(from, to.start);
    fs::write(&path, moved).unwrap();
    assert_eq!(sizes.with_cell(4).unwrap().1, None, "the cell of another shard");
}

#[test]
fn what_is_asked_for_during_a_healing_is_not_healed_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = open(&dir.path().join("sizes"), 1, true);
    sizes.ask(11).unwrap();
    let asked = sizes.totals().unwrap().asked;
    sizes.ask(12).unwrap();
    sizes.healed(asked).unwrap();
    assert!(sizes.totals().unwrap().suspect);
    sizes.healed(12).unwrap();
    assert!(!sizes.totals().unwrap().suspect);
}

#[test]
fn a_copy_is_suspect() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("sizes"), dir.path().join("copy"));
    open(&path, 1, true).write_cell(3, cell(9)).unwrap();
    fs::copy(&path, &copy).unwrap();
    let totals = open(&copy, 5, false).totals().unwrap();
    assert_eq!((totals.bytes, totals.suspect), (9, true));
    assert!(!open(&path, 5, false).totals().unwrap().suspect);
}
