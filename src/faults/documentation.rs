//! The table of faults as a page of the documentation.

use std::fmt::Write;

use super::{ALL, FaultKind, Hosts, Lasts, Parameter};

const HEAD: &str = "\
# Faults

Written by `pgquake list faults --markdown > docs/faults.md` from the table in `src/faults/`; a test keeps it in step.

A scenario injects any of them with `When the fault \"NAME\" hits TARGET`, its parameters as rows of the step's table;
many have a sentence of their own (`pgquake list steps`). A target is one host or several, by name or by role: `node1`,
`the primary`, `a standby`, `the standbys`, `the synchronous standby`, `the etcd leader`, `an etcd follower`, `the etcd
members`, `the nodes`, `the proxy`, `the haproxy NAME`, `region NAME`, `zone NAME`, `every host`, `the rest`, joined by
commas and `and`. Where a host runs several services of one kind, a fault of services names the one that it means.

Faults compose. One that is on when a later one takes away what it stands on (its host, its service, its process, the
path that it needs) is proven once more just before, is suspended with it, and is put back and proven anew when that is
back: when the later one is healed, or over by itself as a reboot is. Healed in the meantime, it is healed with that.
";

/// The page, in Markdown.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| fault | what it does |\n| --- | --- |\n");
    for kind in ALL {
        // Writing to a String can't fail.
        let _ = writeln!(page, "| [`{0}`](#{0}) | {1} |", kind.name, kind.effect);
    }
    ALL.iter().for_each(|kind| section(&mut page, kind));
    page
}

fn section(page: &mut String, kind: &FaultKind) {
    let lasts = match kind.lasts {
        Lasts::UntilHealed => "until it is healed; one that ceases before makes the scenario inconclusive",
        Lasts::Once => "an instant: the system may get over it by itself",
    };
    let hosts = match kind.hosts {
        Hosts::One => "one",
        Hosts::Each => "one or several; each gets it by itself, all at the same time",
        Hosts::Together => "one or several, which are hit as a whole",
    };
    let _ = write!(
        page,
        "\n## {}\n\n{}.\n\n- **Confirmed by:** {}.\n- **Lasts:** {lasts}.\n- **Hosts:** {hosts}.\n- **Can't be used:** {}.\n",
        kind.name,
        sentence(kind.effect),
        kind.confirmed_by,
        kind.limits,
    );
    if kind.parameters.is_empty() {
        return;
    }
    page.push_str("\n| parameter | takes | without it | meaning |\n| --- | --- | --- | --- |\n");
    for Parameter { name, takes, default, optional, meaning } in kind.parameters {
        let without = match (default, optional) {
            (Some(default), _) => format!("`{default}`"),
            (None, true) => "none".to_owned(),
            (None, false) => "an error".to_owned(),
        };
        let _ = writeln!(page, "| `{name}` | {} | {without} | {meaning} |", takes.words());
    }
}

/// The text with its first letter as a sentence begins.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
