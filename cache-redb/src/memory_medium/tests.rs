use redb::{ReadableDatabase, TableDefinition};

use super::*;

const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("numbers");

fn write(database: &Database, number: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?.insert(number, number)?;
    transaction.commit()?;
    Ok(())
}

fn read(database: &Database, number: u64) -> Option<u64> {
    let table = database.begin_read().unwrap().open_table(TABLE).unwrap();
    table.get(number).unwrap().map(|found| found.value())
}

#[test]
fn pages_are_bytes() {
    let mut pages = Pages::default();
    let mut bytes: Vec<u8> = Vec::new();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..500 {
        let (offset, len) = (random.usize(..20_000), random.usize(..9_000));
        match random.u8(..3) {
            0 => {
                pages.set_len(offset);
                bytes.resize(offset, 0);
            }
            _ => {
                let new = vec![random.u8(..); len];
                pages.write(offset, &new);
                bytes.resize(bytes.len().max(offset + len), 0);
                bytes[offset..offset + len].copy_from_slice(&new);
            }
        }
        let copy = pages.clone();
        assert!(copy.to_vec() == bytes);
        assert!(pages.read(bytes.len(), &mut [0]).is_err());
    }
}

#[test]
fn what_is_open_is_locked_and_opens_again_when_it_is_closed() {
    let medium = MemoryMedium::new();
    let database = medium.open().unwrap();
    write(&database, 1).unwrap();
    assert!(matches!(medium.open(), Err(Fault::Refused(error)) if error.kind() == ErrorKind::Locked));
    drop(database);
    assert_eq!(read(&medium.open().unwrap(), 1), Some(1));
}

#[test]
fn a_crash_leaves_the_old_one_behind() {
    let medium = MemoryMedium::new();
    let dead = medium.open().unwrap();
    write(&dead, 1).unwrap();
    medium.crash();
    let database = medium.open().unwrap();
    write(&dead, 2).unwrap();
    write(&database, 3).unwrap();
    drop(dead);
    assert_eq!([1, 2, 3].map(|number| read(&database, number)), [Some(1), None, Some(3)]);
}

#[test]
fn the_operation_that_is_to_fail_fails_once() {
    let medium = MemoryMedium::new().with_cache_bytes(0);
    let mut database = medium.open().unwrap();
    for nth in 1.. {
        let before = medium.operations();
        medium.fail(nth);
        let written = write(&database, nth);
        let failed = medium.operations() - before >= nth;
        medium.fail(0);
        if !failed {
            assert!(nth > 3, "a durable commit writes and syncs");
            written.unwrap();
            return;
        }
        drop(database);
        database = medium.open().unwrap();
        write(&database, nth).unwrap();
        assert_eq!(read(&database, nth), Some(nth));
    }
}

#[test]
fn the_record_replays_to_the_same_bytes() {
    let medium = MemoryMedium::new();
    medium.record();
    let database = medium.open().unwrap();
    (0..5).for_each(|number| write(&database, number).unwrap());
    drop(database);
    let mut replayed = Pages::default();
    let log = medium.take_record();
    log.iter().for_each(|logged| logged.apply(&mut replayed));
    assert!(log.iter().filter(|logged| matches!(logged, Logged::Sync)).count() >= 5);
    assert!(replayed.to_vec() == medium.pages().to_vec());
}

#[test]
fn what_is_set_aside_makes_room() {
    let medium = MemoryMedium::of(Pages::of(&[7; 9000]));
    medium.set_aside().unwrap();
    assert_eq!(medium.aside().unwrap().to_vec(), [7; 9000]);
    write(&medium.open().unwrap(), 1).unwrap();
}
