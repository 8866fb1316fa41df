//! Tags: those that mean something to pgquake are `@claim:ID` and `@control:CHECK`. One that was probably meant to be such
//! a tag is a mistake, because as a plain one it would say nothing.

use cucumber::gherkin::{Feature, LineCol, Scenario};

use super::mistake::{Mistake, Source};
use crate::{checks, claims::Claims, suggestion};

const CLAIM: &str = "claim";
const CONTROL: &str = "control";

/// Checks every tag of a feature where it stands.
pub(super) fn check(feature: &Feature, source: &Source, claims: &Claims, mistakes: &mut Vec<Mistake>) {
    let mut of = |tags: &[String], at: LineCol, inherited: &[&[String]]| {
        let place = |tag: &str| source.tag(tag, at.line).unwrap_or_else(|| source.from(at));
        for tag in tags {
            if let Some((message, help)) = wrong(tag, claims) {
                mistakes.push(source.mistake(place(tag), message, Some(help)));
            }
        }
        let is_control = |tag: &&String| tag.starts_with("control:");
        let above = inherited.iter().flat_map(|tags| tags.iter()).filter(is_control);
        let own: Vec<&String> = tags.iter().filter(is_control).collect();
        let all = above.chain(own.iter().copied()).count();
        if let (Some(last), true) = (own.last(), all > 1) {
            let help = "a control passes if exactly one check fails; make two scenarios of it".to_owned();
            mistakes.push(source.mistake(place(last), "a scenario can have one `@control:` tag", Some(help)));
        }
    };
    of(&feature.tags, feature.position, &[]);
    let mut scenario = |scenario: &Scenario, above: &[&[String]]| {
        of(&scenario.tags, scenario.position, above);
        let above: Vec<&[String]> = above.iter().copied().chain([scenario.tags.as_slice()]).collect();
        scenario.examples.iter().for_each(|examples| of(&examples.tags, examples.position, &above));
    };
    feature.scenarios.iter().for_each(|own| scenario(own, &[&feature.tags]));
    for rule in &feature.rules {
        rule.scenarios.iter().for_each(|own| scenario(own, &[&feature.tags, &rule.tags]));
    }
    for rule in &feature.rules {
        of(&rule.tags, rule.position, &[&feature.tags]);
    }
}

/// What is wrong with a tag, and what was probably meant.
fn wrong(tag: &str, claims: &Claims) -> Option<(String, String)> {
    let checks: Vec<&str> = checks::ALL.iter().map(|check| check.name).collect();
    let claims: Vec<&str> = claims.all().iter().map(|claim| claim.id.as_str()).collect();
    let listed = |typed: &str, known: &[&str], table: &str| match suggestion::nearest(typed, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`? `pgquake list {table}` shows them"),
        None => format!("`pgquake list {table}` shows them"),
    };
    if tag.contains([',', ';']) {
        let help = "tags are set apart by spaces".to_owned();
        return Some((format!("the tag `@{tag}` has a comma in it"), help));
    }
    let Some((family, value)) = tag.split_once(':') else {
        return plain(tag, &claims, &checks);
    };
    match family {
        CLAIM | CONTROL if value.is_empty() => {
            let table = if family == CLAIM { "claims" } else { "checks" };
            Some((format!("the tag `@{tag}` names nothing"), format!("`pgquake list {table}` shows what it can name")))
        }
        CLAIM if !claims.contains(&value) => {
            Some((format!("there is no claim `{value}`"), listed(value, &claims, "claims")))
        }
        CONTROL if !checks.contains(&value) => {
            Some((format!("there is no check `{value}`"), suggestion::did_you_mean(value, &checks)))
        }
        CLAIM | CONTROL => None,
        _ => {
            let meant = suggestion::nearest(family, [CLAIM, CONTROL]);
            let help = meant.map_or_else(
                || "a tag with a colon is `@claim:ID` or `@control:CHECK`; write one of your own without".to_owned(),
                |meant| format!("did you mean `@{meant}:{value}`?"),
            );
            Some((format!("there is no kind of tag `@{family}:`"), help))
        }
    }
}

/// A tag without a colon that was probably meant to have one: `@claim`, `@Controls`, `@claim-RTO-30`, `@RTO-30`.
fn plain(tag: &str, claims: &[&str], checks: &[&str]) -> Option<(String, String)> {
    let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    let known = |value: &str| {
        let claim = claims.iter().find(|id| same(id, value)).map(|id| format!("@{CLAIM}:{id}"));
        claim.or_else(|| checks.iter().find(|name| same(name, value)).map(|name| format!("@{CONTROL}:{name}")))
    };
    let value = tag.find(['-', '_', '=', '.', '/']).map(|at| (&tag[..at], &tag[at + 1..]));
    let after_family = value.and_then(|(family, value)| {
        let like = suggestion::nearest(family, [CLAIM, CONTROL]).is_some();
        known(value).filter(|_| like)
    });
    // Only as it is written: `@disk` is a tag of one's own, and not the claim DISK.
    let exactly = known(tag).filter(|meant| meant.ends_with(&format!(":{tag}")));
    if let Some(meant) = exactly.or(after_family) {
        return Some((format!("the tag `@{tag}` says nothing to pgquake"), format!("did you mean `{meant}`?")));
    }
    let bare = [CLAIM, CONTROL].into_iter().find(|family| {
        let plain = tag.to_ascii_lowercase();
        plain == *family || plain.strip_suffix('s') == Some(family)
    })?;
    let what = if bare == CLAIM { "ID" } else { "CHECK" };
    Some((format!("the tag `@{tag}` names nothing"), format!("write it as `@{bare}:{what}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_was_meant_for_pgquake_is_told_from_one_that_was_not() {
        for tag in [
            "claims:RTO-30",
            "Claim:RTO-30",
            "controls:single_writer",
            "CLAIM:RTO-30",
            "claim:",
            "claim",
            "CONTROL",
            "Claims",
            "claim-RTO-30",
            "control=data_loss",
            "RTO-30",
            "single_writer",
            "claim:RTO-31",
            "control:x",
            "jira:ABC-1",
            "pgquake.number:1",
            "quick,",
            "claim:RTO-30,",
        ] {
            assert!(wrong(tag, Claims::documented()).is_some(), "{tag}");
        }
        for tag in
            ["quick", "sync", "disk", "control-plane", "claimed", "controller", "claim:RTO-30", "control:single_writer"]
        {
            assert_eq!(wrong(tag, Claims::documented()), None, "{tag}");
        }
    }
}
