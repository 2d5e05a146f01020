use super::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn file_is_warm_until_a_read_waits() {
    let cold = Coldness::new();
    for _ in 0..3 {
        cold.note(false);
        assert!(!cold.is_cold());
    }
    cold.note(true);
    assert!(cold.is_cold());
}

#[test]
fn many_reads_in_a_row_without_a_wait_make_it_warm() {
    let cold = Coldness::new();
    cold.note_at(true, MS);
    for _ in 1..WARM_AFTER {
        cold.note_at(false, MS);
        assert!(cold.is_cold_at(MS));
    }
    cold.note_at(true, MS);
    for _ in 1..WARM_AFTER {
        cold.note_at(false, MS);
    }
    assert!(cold.is_cold_at(MS));
    cold.note_at(false, MS);
    assert!(!cold.is_cold_at(MS));
    cold.note_at(false, MS);
    assert!(!cold.is_cold_at(MS));
}

#[test]
fn quiet_file_is_warm() {
    let cold = Coldness::new();
    cold.note_at(true, 5 * MS);
    assert!(cold.is_cold_at(5 * MS + FORGOTTEN_AFTER - MS));
    assert!(!cold.is_cold_at(5 * MS + FORGOTTEN_AFTER));
    // A clock that is read late on another core.
    assert!(cold.is_cold_at(Duration::ZERO));
}

#[test]
fn read_that_does_not_wait_recalls_nothing_forgotten() {
    let cold = Coldness::new();
    cold.note_at(true, MS);
    let later = MS + FORGOTTEN_AFTER;
    cold.note_at(false, later);
    assert!(!cold.is_cold_at(later));
    cold.note_at(true, later);
    assert!(cold.is_cold_at(later));
}

/// One read in a hundred waits, and whoever is told that the file is cold goes elsewhere.
#[test]
fn burst_of_reads_waits_inline_once() {
    let cold = Coldness::new();
    let mut inline = 0;
    for read in 0..10_000_u32 {
        let now = MS * read / 100;
        let waits = read % 50 == 7;
        if waits && !cold.is_cold_at(now) {
            inline += 1;
        }
        cold.note_at(waits, now);
    }
    assert_eq!(inline, 1);
}

#[test]
fn uncounted_reads_leave_it_as_it_is() {
    let cold = Coldness::new();
    uncounted(|| {
        uncounted(|| cold.note(true));
        cold.note(true);
    });
    assert!(!cold.is_cold());
    cold.note(true);
    assert!(cold.is_cold());
}
