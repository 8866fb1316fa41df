//! How a toxic shows itself in what a probe saw of one way's data.

use std::time::Duration;

use super::probe::{Answer, Course, Look};
use crate::links::ToxicKind;

/// The longest request, and the most of an answer that is waited for: PostgreSQL takes 10,000 bytes from a client that
/// it does not know yet.
pub(super) const MOST_BYTES: u64 = 8000;
/// The request of a probe that measures no rate.
const FEW_BYTES: u64 = 200;
/// What a rate is measured over, if the bytes suffice.
const MEASURED_OVER: Duration = Duration::from_millis(300);
/// A smaller delay can't be distinguished from what the machine does.
const LEAST_MEASURED: Duration = Duration::from_millis(30);
/// How long a way may take without a fault.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_millis(1500);
/// After this time without a byte a way counts as silent.
const SILENT_AFTER: Duration = Duration::from_millis(300);
/// A delay may be off by this share, as the project promises.
const TOLERANCE: f64 = 0.1;
/// What the kernel's clock, and the time to ask it, may take off the delay of one way.
const RESOLUTION: Duration = Duration::from_millis(12);
/// What the machine may add to a round trip.
const MACHINE: Duration = Duration::from_millis(15);

/// Whether a toxic shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Yes,
    No,
    /// Something else was seen, or something in between.
    Unclear,
    /// The probe can't show it: the effect is too small, or the data never came that far.
    Untold,
}

/// What a probe that measures this toxic does, and how long it may take while the toxic is on.
pub(super) fn look(kind: &ToxicKind) -> (Look, Duration) {
    let few = Look { request_bytes: FEW_BYTES, answer: Answer::FirstByte };
    match kind {
        ToxicKind::Latency { latency_ms, jitter_ms } => {
            // The request, and the round trip of what makes it whole.
            (few, ANSWERS_WITHIN + 3 * Duration::from_millis(latency_ms + jitter_ms))
        }
        ToxicKind::Bandwidth { .. } | ToxicKind::Slicer { .. } => {
            let bytes = (MEASURED_OVER.as_secs_f64() / a_byte(kind).as_secs_f64()) as u64;
            let bytes = bytes.clamp(FEW_BYTES, MOST_BYTES);
            let taken = Duration::from_secs_f64(a_byte(kind).as_secs_f64() * bytes as f64);
            // Each way, and packets that are smaller than the average.
            (Look { request_bytes: bytes, answer: Answer::Whole }, ANSWERS_WITHIN + 6 * taken)
        }
        ToxicKind::SlowClose { delay_ms } => {
            (Look { answer: Answer::End, ..few }, ANSWERS_WITHIN + 2 * Duration::from_millis(*delay_ms))
        }
        ToxicKind::Timeout { timeout_ms: 0 } => (few, SILENT_AFTER),
        ToxicKind::Timeout { timeout_ms } | ToxicKind::ResetPeer { timeout_ms } => {
            (few, ANSWERS_WITHIN + 2 * Duration::from_millis(*timeout_ms))
        }
        ToxicKind::LimitData { .. } => (Look { request_bytes: MOST_BYTES, answer: Answer::Whole }, ANSWERS_WITHIN),
    }
}

/// The least time that a byte takes, for a toxic that delays each.
fn a_byte(kind: &ToxicKind) -> Duration {
    match kind {
        ToxicKind::Bandwidth { rate_kb_per_s } => Duration::from_secs_f64(1e-3 / (*rate_kb_per_s).max(1) as f64),
        // Sizes vary by half either way, so that there may be fewer packets than the average says.
        ToxicKind::Slicer { average_bytes, delay_us, .. } => {
            Duration::from_secs_f64(*delay_us as f64 * 1e-6 / (2 * (*average_bytes).max(1)) as f64)
        }
        _ => Duration::ZERO,
    }
}

/// What a toxic adds to the time that this many bytes take, if it delays them.
fn delay(kind: &ToxicKind, bytes: u64) -> Option<Duration> {
    match kind {
        ToxicKind::Latency { latency_ms, .. } => Some(Duration::from_millis(*latency_ms)),
        ToxicKind::SlowClose { delay_ms } => Some(Duration::from_millis(*delay_ms)),
        ToxicKind::Bandwidth { .. } | ToxicKind::Slicer { .. } => {
            Some(Duration::from_secs_f64(a_byte(kind).as_secs_f64() * bytes as f64))
        }
        _ => None,
    }
}

/// Whether a toxic of this kind shows in what became of one way's data.
pub(super) fn shown(kind: &ToxicKind, course: &Course) -> Shown {
    if *course == Course::Unknown {
        return Shown::Untold;
    }
    match (kind, course) {
        (ToxicKind::SlowClose { .. }, Course::Silent) => Shown::Yes,
        (_, Course::Passed { took, bytes }) if delay(kind, *bytes).is_some() => {
            let jitter = if let ToxicKind::Latency { jitter_ms, .. } = kind { *jitter_ms } else { 0 };
            let by = delay(kind, *bytes).unwrap_or_default().saturating_sub(Duration::from_millis(jitter));
            match () {
                () if by < LEAST_MEASURED => Shown::Untold,
                () if *took + RESOLUTION >= by.mul_f64(1.0 - TOLERANCE) => Shown::Yes,
                () if *took < by / 2 => Shown::No,
                () => Shown::Unclear,
            }
        }
        // One that ends so soon that the probe's request may not have gone on by then.
        (ToxicKind::Timeout { timeout_ms: 1..100 }, Course::Passed { .. }) => Shown::Untold,
        (ToxicKind::Timeout { timeout_ms: 0 }, Course::Silent) => Shown::Yes,
        (ToxicKind::Timeout { timeout_ms: 1.. } | ToxicKind::ResetPeer { .. }, Course::Closed | Course::Reset) => {
            Shown::Yes
        }
        (ToxicKind::LimitData { bytes }, _) if *bytes >= MOST_BYTES => Shown::Untold,
        (ToxicKind::LimitData { .. }, Course::Closed | Course::Reset) => Shown::Yes,
        (ToxicKind::LimitData { bytes: most }, Course::Passed { bytes, .. }) if bytes <= most => Shown::Yes,
        (
            ToxicKind::Timeout { .. } | ToxicKind::ResetPeer { .. } | ToxicKind::LimitData { .. },
            Course::Passed { .. },
        ) => Shown::No,
        _ => Shown::Unclear,
    }
}

/// Whether a round trip took longer by what latency on its two ways adds, give or take a tenth. The machine can only have
/// added to what it took before, so that is taken off where it would be too long, and not where it would be too short.
pub(super) fn round_trip_fits(toxics: [Option<&ToxicKind>; 2], took: Duration, before: Duration) -> bool {
    let (mut added, mut jitter) = (Duration::ZERO, Duration::ZERO);
    for kind in toxics.into_iter().flatten() {
        let ToxicKind::Latency { latency_ms, jitter_ms } = kind else { return true };
        added += Duration::from_millis(*latency_ms);
        jitter += Duration::from_millis(*jitter_ms);
    }
    let least = added.mul_f64(1.0 - TOLERANCE).saturating_sub(jitter);
    let most = added.mul_f64(1.0 + TOLERANCE) + jitter + MACHINE;
    took >= least && took.saturating_sub(before) <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(ms: u64, bytes: u64) -> Course {
        Course::Passed { took: Duration::from_millis(ms), bytes }
    }

    #[test]
    fn a_delay_shows_where_it_is_and_not_where_it_is_not() {
        let kind = ToxicKind::Latency { latency_ms: 100, jitter_ms: 0 };
        assert_eq!(shown(&kind, &passed(98, 200)), Shown::Yes);
        assert_eq!(shown(&kind, &passed(5, 200)), Shown::No);
        assert_eq!(shown(&kind, &passed(60, 200)), Shown::Unclear);
        assert_eq!(shown(&kind, &Course::Silent), Shown::Unclear);
        assert_eq!(shown(&ToxicKind::Latency { latency_ms: 10, jitter_ms: 0 }, &passed(12, 200)), Shown::Untold);
    }

    #[test]
    fn a_rate_shows_by_the_bytes_that_passed() {
        let kind = ToxicKind::Bandwidth { rate_kb_per_s: 2 };
        assert_eq!(look(&kind).0.request_bytes, 600);
        assert_eq!(shown(&kind, &passed(300, 600)), Shown::Yes);
        assert_eq!(shown(&kind, &passed(20, 600)), Shown::No);
        let quick = ToxicKind::Bandwidth { rate_kb_per_s: 100_000 };
        assert_eq!(shown(&quick, &passed(5, MOST_BYTES)), Shown::Untold);
    }

    #[test]
    fn an_end_shows_on_the_way_on_which_it_came() {
        let silence = ToxicKind::Timeout { timeout_ms: 0 };
        assert_eq!(shown(&silence, &Course::Silent), Shown::Yes);
        assert_eq!(shown(&silence, &passed(1, 200)), Shown::No);
        assert_eq!(shown(&silence, &Course::Unknown), Shown::Untold);
        let limit = ToxicKind::LimitData { bytes: 100 };
        assert_eq!(shown(&limit, &passed(1, 100)), Shown::Yes);
        assert_eq!(shown(&limit, &passed(1, 8000)), Shown::No);
        assert_eq!(shown(&ToxicKind::ResetPeer { timeout_ms: 0 }, &Course::Reset), Shown::Yes);
    }

    #[test]
    fn a_probe_is_given_the_time_that_its_toxic_takes() {
        let five_seconds = ToxicKind::Latency { latency_ms: 2500, jitter_ms: 0 };
        assert!(look(&five_seconds).1 >= Duration::from_millis(7500));
        let slow = ToxicKind::Bandwidth { rate_kb_per_s: 1 };
        assert!(look(&slow).1 >= Duration::from_secs(1));
    }

    #[test]
    fn a_round_trip_fits_within_a_tenth() {
        let half = ToxicKind::Latency { latency_ms: 40, jitter_ms: 0 };
        let ms = Duration::from_millis;
        assert!(round_trip_fits([Some(&half), Some(&half)], ms(82), ms(1)));
        assert!(!round_trip_fits([Some(&half), Some(&half)], ms(120), ms(1)));
        assert!(!round_trip_fits([Some(&half), Some(&half)], ms(41), ms(1)));
        assert!(round_trip_fits([Some(&half), None], ms(41), ms(1)));
        assert!(round_trip_fits([Some(&half), Some(&half)], ms(84), ms(20)), "it was slow by chance before");
    }
}
