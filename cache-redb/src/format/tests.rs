use redb::{Builder, Database, MultimapTableDefinition, Value, backends::InMemoryBackend};

use super::*;

fn database(fill: impl FnOnce(&WriteTransaction)) -> Database {
    let database = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
    let transaction = database.begin_write().unwrap();
    fill(&transaction);
    transaction.commit().unwrap();
    database
}

fn table<V: Value + 'static>(transaction: &WriteTransaction, name: &str) {
    transaction.open_table(TableDefinition::<&str, V>::new(name)).unwrap();
}

#[track_caller]
fn refusal(fill: impl FnOnce(&WriteTransaction)) -> Fault {
    examine(&database(fill), "here").unwrap_err()
}

fn version(version: u64) -> impl FnOnce(&WriteTransaction) {
    move |transaction| {
        transaction.open_table(FORMAT).unwrap().insert(VERSION_ROW, version).unwrap();
    }
}

#[test]
fn new_database_is_empty_and_then_ours() {
    let database = database(|_| {});
    assert_eq!(examine(&database, "here").unwrap(), Format::Empty);
    let transaction = database.begin_write().unwrap();
    make(&transaction).unwrap();
    OURS.iter().for_each(|name| table::<u64>(&transaction, name));
    transaction.commit().unwrap();
    assert_eq!(examine(&database, "here").unwrap(), Format::Ours);
}

#[test]
fn version_to_come_is_refused_and_no_version_is_damage() {
    for later in [2, 3, MOST] {
        let fault = refusal(version(later));
        assert!(matches!(&fault, Fault::Refused(error) if error.kind() == ErrorKind::Unsupported));
        let line = fault.error().to_line();
        assert!(line.contains("here") && line.contains(&later.to_string()), "{line}");
    }
    for never in [0, MOST + 1, VERSION | 1 << 63] {
        let fault = refusal(|transaction| {
            OURS.iter().for_each(|name| table::<u64>(transaction, name));
            version(never)(transaction);
        });
        assert!(matches!(fault, Fault::Damaged(_)));
    }
}

#[test]
fn database_of_somebody_else_is_refused() {
    let foreign = |fill: fn(&WriteTransaction)| {
        let fault = refusal(fill);
        assert!(matches!(&fault, Fault::Refused(error) if error.kind() == ErrorKind::Corrupt), "{fault:?}");
    };
    foreign(|transaction| table::<u64>(transaction, "users"));
    foreign(|transaction| table::<u64>(transaction, "entries"));
    foreign(|transaction| table::<&str>(transaction, "format"));
    // Others count versions, too.
    for number in [0, VERSION, MOST + 1] {
        let fault = refusal(version(number));
        assert!(matches!(&fault, Fault::Refused(error) if error.kind() == ErrorKind::Corrupt), "{fault:?}");
    }
    foreign(|transaction| {
        transaction.open_multimap_table(MultimapTableDefinition::<u64, u64>::new("format")).unwrap();
    });
    foreign(|transaction| {
        transaction.open_multimap_table(MultimapTableDefinition::<u64, u64>::new("users")).unwrap();
    });
}

#[test]
fn lost_version_is_damage() {
    let fault = refusal(|transaction| OURS.iter().for_each(|name| table::<u64>(transaction, name)));
    assert!(matches!(fault, Fault::Damaged(_)));
    let fault = refusal(|transaction| {
        OURS.iter().for_each(|name| table::<u64>(transaction, name));
        table::<&str>(transaction, "format");
    });
    assert!(matches!(fault, Fault::Damaged(_)));
}
