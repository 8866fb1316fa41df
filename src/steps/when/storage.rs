//! `When`: faults of object storage.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "the certificate of {target} expires",
        "an S3 server, or a host that speaks TLS, shows a certificate that is no longer good to everybody who connects",
        |words| words.fault("certificate_expired", 0, &[]),
    ),
    step(
        When,
        "the buckets on {target} are full",
        "an S3 server stores nothing more, and hands out what it holds",
        |words| words.fault("bucket_full", 0, &[]),
    ),
    step(
        When,
        "the drive of the object store on {target} is gone",
        "an S3 server lives, and answers that it is not available (503)",
        |words| words.fault("drive_gone", 0, &[]),
    ),
    step(
        When,
        "an archive command on {target} is killed in the middle",
        "the command that sends a file of WAL gets SIGKILL as soon as it is there",
        |words| words.fault("archive_push_killed", 0, &[]),
    ),
];
