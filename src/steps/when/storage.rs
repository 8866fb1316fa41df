//! `When`: faults of object storage.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[step(
    When,
    "the certificate of {target} expires",
    "an S3 server shows a certificate that is no longer good to everybody who connects",
    |words| words.fault("certificate_expired", 0, &[]),
)];
