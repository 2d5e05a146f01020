//! Media whose bytes are not those that were written, opened as a store opens them.

use redb::{ReadableDatabase, ReadableTable};

use super::*;
use crate::{
    contain::contain_fault,
    memory_medium::{MemoryMedium, Pages},
    opening,
    rows::BLOBS,
};

/// What a closed database leaves.
fn whole() -> Vec<u8> {
    let medium = MemoryMedium::new();
    let (opened, _) = opening::open(&medium).unwrap();
    for key in 0..50_u8 {
        let transaction = opened.db.begin_write().unwrap();
        transaction.open_table(BLOBS).unwrap().insert(&[key][..], &*vec![key; 500]).unwrap();
        transaction.commit().unwrap();
    }
    drop(opened);
    medium.pages().to_vec()
}

fn medium_of(bytes: &[u8]) -> MemoryMedium {
    let mut pages = Pages::default();
    pages.write(0, bytes);
    MemoryMedium::of(pages)
}

#[derive(Debug, Default, PartialEq)]
struct Counts {
    whole: usize,
    set_aside: usize,
    refused: usize,
}

/// Opens a database and reads all of it. What is there is right, or all of it is gone.
#[track_caller]
fn check(bytes: &[u8], change: &str, counts: &mut Counts) {
    let medium = medium_of(bytes);
    let opened = match opening::open(&medium) {
        Ok((opened, anew)) => {
            assert_eq!(medium.aside().is_some(), anew, "{change}");
            opened
        }
        Err(Fault::Refused(_)) => {
            assert!(medium.aside().is_none(), "{change}");
            counts.refused += 1;
            return;
        }
        Err(fault) => panic!("{change}: {fault:?}"),
    };
    let rows = contain_fault(|| {
        let blobs = opened.db.begin_read()?.open_table(BLOBS)?;
        let rows =
            blobs.iter()?.map(|row| row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())));
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    });
    match rows.unwrap() {
        rows if rows.is_empty() => counts.set_aside += 1,
        rows => {
            let expected = (0..50).map(|key| (vec![key], vec![key; 500]));
            assert!(rows.into_iter().eq(expected), "{change}");
            counts.whole += 1;
        }
    }
}

#[test]
fn no_flipped_bit_of_the_header_gets_out() {
    let whole = whole();
    let mut counts = Counts::default();
    for byte in 0..320 {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[byte] ^= 1 << bit;
            check(&bytes, &format!("bit {bit} of byte {byte}"), &mut counts);
        }
    }
    println!("{counts:?}");
    assert_eq!(counts.refused, 0);
    assert!(counts.whole > 0 && counts.set_aside > 0);
}

#[test]
fn no_overwritten_page_gets_out() {
    let whole = whole();
    let mut counts = Counts::default();
    let mut random = fastrand::Rng::with_seed(1);
    let garbage: Vec<u8> = (0..4096).map(|_| random.u8(..)).collect();
    for page in 1..whole.len() / 4096 {
        for filling in [&[0; 4096][..], &[0xff; 4096], &garbage, &whole[4096..8192], &whole[..4096]] {
            let mut bytes = whole.clone();
            bytes[page * 4096..][..4096].copy_from_slice(filling);
            let medium = medium_of(&bytes);
            let opened = opening::open(&medium);
            counts.whole += usize::from(matches!(&opened, Ok((_, false))));
            counts.set_aside += usize::from(matches!(&opened, Ok((_, true))));
            counts.refused += usize::from(matches!(&opened, Err(Fault::Refused(_))));
            // What is read of it is right, or is told to be damaged; either way the rest works.
            let read = opened.map(|(opened, _)| {
                contain_fault(|| {
                    let blobs = opened.db.begin_read()?.open_table(BLOBS)?;
                    for row in blobs.iter()? {
                        row?;
                    }
                    Ok(())
                })
            });
            assert!(!matches!(read, Ok(Err(Fault::Refused(_)))), "page {page}: {read:?}");
        }
    }
    println!("{counts:?}");
    assert!(counts.set_aside > 0);
}

#[test]
fn no_length_gets_out() {
    let whole = whole();
    let mut counts = Counts::default();
    for len in (0..400).chain((400..whole.len()).step_by(1021)).chain([whole.len() - 1, whole.len()]) {
        if len == 0 {
            continue;
        }
        check(&whole[..len], &format!("{len} bytes"), &mut counts);
    }
    assert_eq!((counts.whole, counts.refused), (1, 0));
    for more in [1, 100, 4095, 4096, 4097, 1 << 20] {
        let longer = [whole.as_slice(), &vec![0; more]].concat();
        check(&longer, &format!("{more} bytes more"), &mut counts);
    }
    assert_eq!(counts.refused, 0);
}
