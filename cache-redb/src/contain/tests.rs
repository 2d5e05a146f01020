use std::{error::Error as _, panic::Location};

use redb::{TableDefinition, TypeName, Value};

use super::*;

const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("table");

#[derive(Debug, PartialEq)]
enum Is {
    Damaged,
    Failed,
    Refused,
}

#[track_caller]
fn check(error: impl Into<Fault>, is: Is, kind: ErrorKind) -> Fault {
    let fault = error.into();
    let found = match &fault {
        Fault::Damaged(_) => Is::Damaged,
        Fault::Failed(_) => Is::Failed,
        Fault::Refused(_) => Is::Refused,
    };
    assert_eq!((found, fault.error().kind()), (is, kind), "{fault:?}");
    fault
}

fn io(kind: io::ErrorKind) -> redb::Error {
    redb::Error::Io(kind.into())
}

#[test]
fn damage_is_told_from_failures_and_refusals() {
    use redb::Error as Redb;
    let type_of = |name: &str| TypeName::new(name);
    check(Redb::Corrupted("page".into()), Is::Damaged, ErrorKind::Corrupt);
    check(io(io::ErrorKind::UnexpectedEof), Is::Damaged, ErrorKind::Corrupt);
    check(io(io::ErrorKind::InvalidData), Is::Damaged, ErrorKind::Corrupt);
    check(Redb::TableDoesNotExist("entries".into()), Is::Damaged, ErrorKind::Corrupt);
    check(Redb::UnorderedKey, Is::Damaged, ErrorKind::Corrupt);
    let mismatch =
        Redb::TableTypeMismatch { table: "t".into(), key: type_of("k"), value: <&[u8]>::type_name() };
    check(mismatch, Is::Damaged, ErrorKind::Corrupt);

    check(io(io::ErrorKind::StorageFull), Is::Failed, ErrorKind::NoSpace);
    check(io(io::ErrorKind::PermissionDenied), Is::Failed, ErrorKind::Denied);
    check(io(io::ErrorKind::Other), Is::Failed, ErrorKind::Unavailable);
    check(Redb::PreviousIo, Is::Failed, ErrorKind::Unavailable);
    check(Redb::TransactionPoisoned, Is::Failed, ErrorKind::Unavailable);
    check(Redb::LockPoisoned(Location::caller()), Is::Failed, ErrorKind::Unavailable);

    check(Redb::DatabaseClosed, Is::Refused, ErrorKind::Closed);
    check(Redb::DatabaseAlreadyOpen, Is::Refused, ErrorKind::Locked);
    check(Redb::LockProtocolMismatch, Is::Refused, ErrorKind::Locked);
    check(Redb::UpgradeRequired(2), Is::Refused, ErrorKind::Unsupported);
    check(Redb::RepairAborted, Is::Refused, ErrorKind::Unavailable);
    check(Redb::ValueTooLarge(9), Is::Refused, ErrorKind::TooLarge);
    check(Redb::InvalidSavepoint, Is::Refused, ErrorKind::Internal);
}

#[test]
fn cause_is_kept_and_told_once() {
    let fault = check(redb::Error::Corrupted("page 7".into()), Is::Damaged, ErrorKind::Corrupt);
    assert_eq!(
        fault.error().to_line(),
        "stored bytes are corrupt: the database is damaged: DB corrupted: page 7"
    );
    let failed = Fault::from(redb::StorageError::Io(io::Error::other("cable")));
    assert_eq!(failed.error().source().unwrap().to_string(), "cable");
}

#[test]
fn panic_is_damage() {
    let fault = contain::<()>(|| panic!("page {}", 7)).unwrap_err();
    let fault = check(fault, Is::Damaged, ErrorKind::Corrupt);
    assert_eq!(fault.error().detail(), Some("the database panicked: page 7"));
    let fault = contain_fault::<()>(|| std::panic::panic_any(7)).unwrap_err();
    check(fault, Is::Damaged, ErrorKind::Corrupt);
}

#[test]
fn question_mark_takes_the_errors_of_the_database() {
    let database = redb::Builder::new().create_with_backend(redb::backends::InMemoryBackend::new()).unwrap();
    let missing = contain_fault(|| {
        let transaction = redb::ReadableDatabase::begin_read(&database)?;
        transaction.open_table(TABLE)?;
        Ok(())
    });
    check(missing.unwrap_err(), Is::Damaged, ErrorKind::Corrupt);
}

#[test]
fn panic_in_a_drop_is_contained() {
    struct Bomb {
        fuse: u8,
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("boom");
        }
    }
    let bomb = Contained::new(Bomb { fuse: 7 });
    assert_eq!(bomb.fuse, 7);
    drop(bomb);
}

#[test]
fn map_keeps_what_the_fault_takes() {
    let fault = Fault::damaged("page").map(|error| error.with_detail("leaf"));
    let fault = check(fault, Is::Damaged, ErrorKind::Corrupt);
    assert_eq!(fault.error().detail(), Some("leaf"));
    check(Fault::io(io::ErrorKind::ResourceBusy.into()), Is::Refused, ErrorKind::Locked);
    check(Fault::io(io::ErrorKind::Other.into()).map(|e| e), Is::Failed, ErrorKind::Unavailable);
    check(Fault::refused(ErrorKind::Locked, "x").map(|e| e), Is::Refused, ErrorKind::Locked);
}
