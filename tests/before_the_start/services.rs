//! Steps that name one of several services.

use super::{refused, scenario, told};

#[test]
fn of_several_services_of_one_kind_a_step_names_the_one_that_it_means() {
    let two = "Given the topology \"two-balancers\"";
    for (step, part) in [
        ("When the host of the proxy dies", "`the proxy` can mean several: write `the haproxy writes` or"),
        ("When the service \"haproxy\" on proxy dies", "several of them: write `reads` or `writes`"),
        ("When the service \"raeds\" on proxy dies", "can't be its parameter `service`"),
        ("When HAProxy on proxy is killed", "proxy runs several of them"),
        ("When the host of the haproxy wirtes dies", "did you mean `writes`?"),
    ] {
        refused(&scenario(&[two, step]), &["own.feature:4:", part]);
    }
    let can_be = [
        two,
        "When the service \"haproxy\" on the haproxy reads dies",
        "And the service \"writes\" on proxy freezes",
        "And Docker pauses \"haproxy\" on the haproxy writes",
        "And clients are cut off from the haproxy reads",
        "And the host of the haproxy writes dies",
    ];
    told(&scenario(&can_be), &["features", "--list"], 0);
}
