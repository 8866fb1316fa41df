//! `When`: attempts to get in that must fail, and faults of the certificates of hosts that speak TLS.

use cucumber::gherkin::StepType::When;

use crate::steps::{Intent, StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "connections that must fail are tried",
        "without TLS, with a wrong password or no certificate, at every node and member of etcd; what came of each is recorded",
        |_| Ok(Intent::TryEntries),
    ),
    step(
        When,
        "the certificate of {target} is of another authority",
        "the host shows a certificate of an authority that nobody trusts to everybody who connects",
        |words| words.fault("certificate_foreign", 0, &[]),
    ),
    step(
        When,
        "the certificate of {target} has another name",
        "the host shows a certificate with the name of another host to everybody who connects",
        |words| words.fault("certificate_misnamed", 0, &[]),
    ),
    step(
        When,
        "the certificate of {target} is revoked",
        "every node gets a list of revoked certificates with that of the host in it",
        |words| words.fault("certificate_revoked", 0, &[]),
    ),
];
