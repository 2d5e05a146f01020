//! Times in stored bytes, alike in every format that keeps them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many bytes a stored time takes.
const LEN: usize = 12;

/// A time as formats keep it, for authors of backends: the seconds since 1970 as i64, rounded down, and
/// the nanoseconds beyond them as u32, both little-endian. One that is too far from 1970 becomes the farthest.
///
/// ```
/// use std::time::SystemTime;
/// use cache_core::{decode_time, encode_time};
///
/// let now = SystemTime::now();
/// assert_eq!(decode_time(encode_time(now)), Some(now));
/// ```
#[must_use]
pub fn encode_time(time: SystemTime) -> [u8; LEN] {
    let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX).saturating_neg();
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanos => (seconds.saturating_sub(1), 1_000_000_000 - nanos),
            }
        }
    };
    let mut encoded = [0; LEN];
    let (whole, part) = encoded.split_at_mut(8);
    whole.copy_from_slice(&seconds.to_le_bytes());
    part.copy_from_slice(&nanos.to_le_bytes());
    encoded
}

/// What [`encode_time`] made, for authors of backends; `None` for a time that this machine cannot tell.
#[must_use]
pub fn decode_time(encoded: [u8; LEN]) -> Option<SystemTime> {
    let (seconds, nanos) = encoded.split_first_chunk::<8>()?;
    let seconds = i64::from_le_bytes(*seconds);
    let nanos = u32::from_le_bytes(*nanos.first_chunk::<4>()?);
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let whole = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    whole?.checked_add(Duration::from_nanos(nanos.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_1970_come_back() {
        for (seconds, nanos) in [(0, 0), (0, 1), (1, 999_999_999), (4_000_000_000, 5)] {
            let since = Duration::new(seconds, nanos);
            for time in [UNIX_EPOCH + since, UNIX_EPOCH - since] {
                assert_eq!(decode_time(encode_time(time)), Some(time));
            }
        }
    }

    #[test]
    fn bytes_are_as_documented() {
        let half_before = UNIX_EPOCH - Duration::from_millis(500);
        assert_eq!(encode_time(half_before), [255, 255, 255, 255, 255, 255, 255, 255, 0, 101, 205, 29]);
        assert_eq!(encode_time(UNIX_EPOCH + Duration::new(1, 2)), [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn no_bytes_panic() {
        for seconds in [i64::MIN, -1, i64::MAX] {
            for nanos in [0, u32::MAX] {
                let mut encoded = [0; LEN];
                encoded[..8].copy_from_slice(&seconds.to_le_bytes());
                encoded[8..].copy_from_slice(&nanos.to_le_bytes());
                _ = decode_time(encoded);
            }
        }
    }
}
