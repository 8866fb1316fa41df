//! "Did you mean …?" for every name that a user can mistype: fields, services, topologies, claims, steps, faults.

/// The candidate that was most likely meant, if one is near enough to be worth a question.
///
/// A candidate that only adds to what was typed counts as near (`ttl` means `ttl_s`); otherwise up to a third of
/// the letters may be wrong, missing, surplus or swapped with their neighbour. Upper and lower case are the same.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = plain(typed);
    candidates
        .into_iter()
        .filter_map(|candidate| Some((closeness(&typed, &plain(candidate))?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The candidates as a phrase: `etcd, haproxy or patroni`.
pub fn one_of<'a>(candidates: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = candidates.into_iter().collect();
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// The question and the choice, for the help line under an error: "did you mean `etcd`? known: …".
pub fn did_you_mean(typed: &str, candidates: &[&str]) -> String {
    let known = one_of(candidates.iter().copied());
    match nearest(typed, candidates.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`? known: {known}"),
        None => format!("known: {known}"),
    }
}

fn plain(name: &str) -> Vec<char> {
    name.trim().to_lowercase().replace('-', "_").chars().collect()
}

/// How far apart two names are, or `None` if they are not alike. An added word at the end, as a unit is, costs 1.
fn closeness(typed: &[char], candidate: &[char]) -> Option<usize> {
    if typed.len() >= 3 && candidate.strip_prefix(typed).is_some_and(|rest| rest.first() == Some(&'_')) {
        return Some(1);
    }
    let distance = edit_distance(typed, candidate);
    let allowed = typed.len().max(candidate.len()).div_ceil(3);
    // Two names without a letter in common are never alike, however short they are.
    (distance <= allowed && distance < typed.len().max(candidate.len())).then_some(distance)
}

/// Edits that turn one name into the other: a letter wrong, missing, surplus, or two neighbours swapped (optimal
/// string alignment).
fn edit_distance(one: &[char], other: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, against) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != against);
            let mut least = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && one[row - 1] == *against && *letter == other[column - 1];
            if swapped {
                least = least.min(before_last[column - 1] + 1);
            }
            current.push(least);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[&str] =
        &["ttl_s", "loop_wait_s", "retry_timeout_s", "maximum_lag_on_failover_bytes", "synchronous_mode"];

    fn distance(one: &str, other: &str) -> usize {
        edit_distance(&plain(one), &plain(other))
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("etdc", "etcd"), 1, "two swapped neighbours are one slip");
        assert_eq!(distance("Patroni", "patroni"), 0);
    }

    #[test]
    fn a_unit_left_out_is_understood() {
        assert_eq!(nearest("ttl", FIELDS.iter().copied()), Some("ttl_s"));
        assert_eq!(nearest("loop_wait", FIELDS.iter().copied()), Some("loop_wait_s"));
        assert_eq!(nearest("maximum_lag_on_failover", FIELDS.iter().copied()), Some("maximum_lag_on_failover_bytes"));
    }

    #[test]
    fn a_typo_is_understood() {
        assert_eq!(nearest("sychronous_mode", FIELDS.iter().copied()), Some("synchronous_mode"));
        assert_eq!(nearest("patrony", ["etcd", "haproxy", "patroni"]), Some("patroni"));
        assert_eq!(nearest("single_region", ["single-region-fast", "single-region"]), Some("single-region"));
    }

    #[test]
    fn the_nearest_of_several_wins() {
        assert_eq!(nearest("single-region-fst", ["single-region", "single-region-fast"]), Some("single-region-fast"));
    }

    #[test]
    fn nothing_is_made_up() {
        assert_eq!(nearest("watchdog", FIELDS.iter().copied()), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("anything", []), None);
    }

    #[test]
    fn a_choice_reads_as_a_phrase() {
        assert_eq!(one_of([]), "nothing");
        assert_eq!(one_of(["a"]), "a");
        assert_eq!(one_of(["a", "b", "c"]), "a, b or c");
        assert_eq!(did_you_mean("etdc", &["etcd", "haproxy"]), "did you mean `etcd`? known: etcd or haproxy");
        assert_eq!(did_you_mean("zookeeper", &["etcd", "haproxy"]), "known: etcd or haproxy");
    }
}
