#![expect(clippy::cast_possible_truncation, reason = "the numbers of a test are small")]

use redb::{Database, ReadableDatabase, ReadableTableMetadata, backends::InMemoryBackend};

use super::*;

fn database() -> Database {
    Database::builder().create_with_backend(InMemoryBackend::new()).unwrap()
}

/// Does something in a transaction of its own.
fn write<T>(database: &Database, work: impl FnOnce(&mut ChunkTables<'_>) -> Result<T, redb::Error>) -> T {
    let transaction = database.begin_write().unwrap();
    let done = work(&mut ChunkTables::open(&transaction).unwrap()).unwrap();
    transaction.commit().unwrap();
    done
}

fn part(id: u64, first_index: u32, chunks: usize) -> Part {
    let chunk = |n: usize| Bytes::from(vec![(first_index as u8).wrapping_add(n as u8); 10]);
    Part { id, first_index, chunks: (0..chunks).map(chunk).collect() }
}

/// Every chunk by its key and first byte, and every loose id.
fn rows(database: &Database) -> (Vec<(u64, u32, u8)>, Vec<u64>) {
    let transaction = database.begin_read().unwrap();
    let chunks = transaction.open_table(CHUNKS).unwrap();
    let chunks = chunks.iter().unwrap().map(|row| {
        let (key, value) = row.unwrap();
        (key.value().0, key.value().1, value.value()[0])
    });
    let loose = transaction.open_table(LOOSE).unwrap();
    let loose = loose.iter().unwrap().map(|row| row.unwrap().0.value());
    (chunks.collect(), loose.collect())
}

fn known(database: &Database) -> (Option<u64>, VecDeque<u64>) {
    ids_of(&database.begin_read().unwrap()).unwrap()
}

fn ids(first: u64) -> ChunkIds {
    let ids = ChunkIds::default();
    ids.opened(Some(first - 1)).unwrap();
    ids
}

fn is_lost(done: Result<()>) -> bool {
    done.is_err_and(|error| error.kind() == ErrorKind::Unavailable)
}

#[test]
fn a_chunk_fills_its_pages() {
    let database = database();
    let transaction = database.begin_write().unwrap();
    let mut tables = ChunkTables::open(&transaction).unwrap();
    let before = transaction.stats().unwrap().allocated_pages();
    let chunk = Bytes::from(vec![1; CHUNK]);
    let part = Part { id: 1, first_index: 0, chunks: vec![chunk; 16] };
    tables.write(&part).unwrap();
    assert_eq!(part.bytes(), 16 * CHUNK as u64);
    let stats = tables.chunks.stats().unwrap();
    assert_eq!(stats.leaf_pages(), 16);
    drop(tables);
    let pages = transaction.stats().unwrap().allocated_pages() - before;
    // 64 pages of 4 KiB each, and one for the branch.
    assert!(pages <= 16 * 64 + 4, "{pages} pages");
}

#[test]
fn an_upload_is_loose_until_it_is_published() {
    let (database, ids) = (database(), ids(5));
    write(&database, |tables| tables.stage(&ids, &part(5, 0, 2))).unwrap();
    assert_eq!(rows(&database), (vec![(5, 0, 0), (5, 1, 1)], vec![5]));
    write(&database, |tables| tables.stage(&ids, &part(5, 2, 1))).unwrap();
    assert_eq!(rows(&database).1, [5]);
    write(&database, |tables| tables.publish(&ids, &part(5, 3, 1))).unwrap();
    assert_eq!(rows(&database), (vec![(5, 0, 0), (5, 1, 1), (5, 2, 2), (5, 3, 3)], vec![]));
    // It belongs to an entry now: discarding it does nothing.
    assert!(write(&database, |tables| tables.remove_some(5, 100)));
    assert_eq!(rows(&database).0.len(), 4);
}

#[test]
fn a_short_upload_is_published_without_being_staged() {
    let (database, ids) = (database(), ids(5));
    write(&database, |tables| tables.publish(&ids, &part(5, 0, 2))).unwrap();
    assert_eq!(rows(&database), (vec![(5, 0, 0), (5, 1, 1)], vec![]));
    write(&database, |tables| tables.publish(&ids, &part(6, 0, 0))).unwrap();
    assert_eq!(rows(&database).0.len(), 2);
}

#[test]
fn an_upload_whose_first_part_is_not_there_is_lost() {
    let (database, ids) = (database(), ids(5));
    assert!(is_lost(write(&database, |tables| tables.stage(&ids, &part(5, 1, 1)))));
    assert!(is_lost(write(&database, |tables| tables.publish(&ids, &part(5, 1, 1)))));
    assert!(is_lost(write(&database, |tables| tables.publish(&ids, &part(5, 4, 0)))));
    assert_eq!(rows(&database), (vec![], vec![]));
}

#[test]
fn an_upload_is_lost_when_the_database_is_opened_again() {
    let (database, ids) = (database(), ChunkIds::default());
    ids.opened(None).unwrap();
    let (one, two) = (ids.take(), ids.take());
    write(&database, |tables| tables.stage(&ids, &part(one, 0, 2))).unwrap();
    ids.opened(known(&database).0).unwrap();
    assert!(is_lost(write(&database, |tables| tables.stage(&ids, &part(one, 2, 1)))));
    assert!(is_lost(write(&database, |tables| tables.publish(&ids, &part(one, 2, 1)))));
    // Nothing was staged of this one, and it is lost all the same: it may have been.
    assert!(is_lost(write(&database, |tables| tables.publish(&ids, &part(two, 0, 1)))));
    let three = ids.take();
    write(&database, |tables| tables.publish(&ids, &part(three, 0, 1))).unwrap();
    assert_eq!(rows(&database), (vec![(one, 0, 0), (one, 1, 1), (three, 0, 0)], vec![one]));
}

#[test]
fn ids_are_above_all_that_a_database_has() {
    let (database, fresh) = (database(), ids(1));
    write(&database, |_| Ok(()));
    assert_eq!(known(&database), (None, VecDeque::new()));
    write(&database, |tables| tables.publish(&fresh, &part(20, 0, 1))).unwrap();
    assert_eq!(known(&database).0, Some(20));
    write(&database, |tables| tables.mark_loose(22));
    assert_eq!(known(&database).0, Some(22));
    let ids = ChunkIds::default();
    ids.opened(Some(22)).unwrap();
    assert_eq!([ids.take(), ids.take()], [23, 24]);
    // An empty one that took its place begins no lower.
    ids.opened(None).unwrap();
    assert_eq!(ids.take(), 25);
    for largest in [u64::MAX, u64::MAX / 2 + 1] {
        assert_eq!(ids.opened(Some(largest)).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    assert_eq!(ids.take(), 26);
}

#[test]
fn loose_chunks_are_removed_a_few_at_a_time() {
    for (chunks, limit, turns) in [(0, 3, 1), (2, 3, 1), (3, 3, 2), (7, 3, 3), (9, 3, 4)] {
        let (database, ids) = (database(), ids(1));
        for neighbour in [4, 6] {
            write(&database, |tables| tables.publish(&ids, &part(neighbour, 0, 2))).unwrap();
        }
        write(&database, |tables| tables.stage(&ids, &part(5, 0, chunks))).unwrap();
        for turn in 1..=turns {
            let is_done = write(&database, |tables| tables.remove_some(5, limit));
            assert_eq!(is_done, turn == turns, "{chunks} chunks, turn {turn}");
            let (left, loose) = rows(&database);
            assert_eq!(left.len(), 4 + chunks.saturating_sub(turn * limit), "{chunks} chunks, turn {turn}");
            assert_eq!(loose.is_empty(), is_done);
        }
        assert_eq!(rows(&database).0, [(4, 0, 0), (4, 1, 1), (6, 0, 0), (6, 1, 1)]);
        // Once more, as is asked for after a restart.
        assert!(write(&database, |tables| tables.remove_some(5, limit)));
    }
}

#[test]
fn a_replaced_blob_is_removed_when_it_is_loose() {
    let (database, ids) = (database(), ids(1));
    write(&database, |tables| tables.publish(&ids, &part(1, 0, 3))).unwrap();
    write(&database, |tables| {
        tables.mark_loose(1)?;
        tables.publish(&ids, &part(2, 0, 1))
    })
    .unwrap();
    assert!(write(&database, |tables| tables.remove_some(1, 10)));
    assert_eq!(rows(&database), (vec![(2, 0, 0)], vec![]));
}

#[test]
fn loose_ids_are_found_again() {
    let database = database();
    write(&database, |tables| [9, 3, 7, 5].into_iter().try_for_each(|id| tables.mark_loose(id)));
    assert_eq!(known(&database), (Some(9), [3, 5, 7, 9].into()));
}

#[test]
fn a_snapshot_keeps_what_is_removed_after_it() {
    let (database, ids) = (database(), ids(1));
    write(&database, |tables| tables.stage(&ids, &part(1, 0, 3))).unwrap();
    let snapshot = database.begin_read().unwrap().open_table(CHUNKS).unwrap();
    assert!(write(&database, |tables| tables.remove_some(1, 10)));
    assert_eq!(snapshot.len().unwrap(), 3);
    assert_eq!(snapshot.get((1, 2)).unwrap().unwrap().value(), [2; 10]);
}

#[test]
fn chunks_are_counted() {
    for (len, chunks) in [(0, 0), (1, 1), (CHUNK, 1), (CHUNK + 1, 2), (3 * CHUNK, 3)] {
        assert_eq!(chunk_count(len as u64), Some(chunks));
    }
    let most = u64::from(u32::MAX) * CHUNK as u64;
    assert_eq!((chunk_count(most), chunk_count(most + 1)), (Some(u32::MAX), None));
}
